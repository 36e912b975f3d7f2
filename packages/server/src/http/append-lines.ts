import type { Readable } from 'node:stream'
import { type Appended, RecordBatch } from '@millrace/engine'
import { type CheckedLines, checkJsonLines, isMillraceError } from '@millrace/sdk'
import { LineBlocks, type LineBlocksOptions } from './line-blocks.ts'

export interface AppendLinesOptions extends LineBlocksOptions {
  /** Whether each line has to be JSON; else it is any text, and an empty one is a record too. */
  readonly isJson: boolean
  /** Appends a block; `before` is how many records of the body lie before it. Resolves when it is durable. */
  readonly append: (batch: RecordBatch, before: number) => Promise<Appended>
  /** Told of each block that is durable, in order. What it answers is waited for: back-pressure. */
  readonly onDurable: (appended: Appended, records: number) => Promise<void> | void
}

/**
 * Appends a body of JSON lines block by block: while one is written, the next is gathered and checked, so at most one is
 * under way and order holds. What was told to `onDurable` is in the stream, whatever comes after. Where a line is bad, all
 * before it are appended and none behind it. Throws what the check of a line, the body or the append throws.
 */
export const appendLines = async (body: Readable, options: AppendLinesOptions): Promise<void> => {
  const blocks = new LineBlocks(body, options)
  let records = 0
  let line = 1
  let underWay: Promise<void> = Promise.resolve()
  try {
    for (;;) {
      // Where the append fails, no more of the body is waited for.
      const block = await Promise.race([blocks.next(underWay), underWay.then(() => new Promise<never>(() => {}))])
      if (block === undefined) break
      const { good, fault } = options.isJson ? check(block, line) : { good: anyLines(block), fault: undefined }
      line += good.lines
      await underWay
      if (good.ends.length > 0) {
        const batch = new RecordBatch({ bytes: good.bytes, ends: good.ends, gap: 1 })
        const before = records
        records += batch.count
        underWay = options.append(batch, before).then((appended) => options.onDurable(appended, batch.count))
        underWay.catch(() => {})
      }
      if (fault !== undefined) {
        await underWay
        throw fault
      }
    }
    await underWay
  } finally {
    blocks.stop()
    await underWay.catch(() => {})
  }
}

const anyLines = (block: Buffer): CheckedLines => {
  const { bytes, ends } = RecordBatch.lines(block)
  return { bytes, ends, lines: ends.length }
}

/** The lines of a block up to the first bad one, and what is wrong with that. */
const check = (block: Buffer, firstLine: number): { readonly good: CheckedLines; readonly fault?: unknown } => {
  try {
    return { good: checkJsonLines(block, { firstLine, fix: 'Send one JSON value a line.' }) }
  } catch (fault) {
    if (!isMillraceError(fault)) throw fault
    let end = 0
    for (let n = Number(fault.details['line']) - firstLine; n > 0; n--) end = block.indexOf(10, end) + 1
    return { good: checkJsonLines(block.subarray(0, end)), fault }
  }
}
