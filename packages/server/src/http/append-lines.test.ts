import assert from 'node:assert/strict'
import { PassThrough, Readable } from 'node:stream'
import { describe, it } from 'node:test'
import { type Appended, offset, type RecordBatch } from '@millrace/engine'
import fc from 'fast-check'
import { appendLines } from './append-lines.ts'

const limits = { blockBytes: 256 * 1024, lineBytes: 400_000, idleMs: 60_000, isJson: true }

/** A stream in memory that shows what it took. */
const stream = () => {
  const records: string[] = []
  const told: number[] = []
  const sizes: number[] = []
  return {
    records,
    told,
    sizes,
    append: async (batch: RecordBatch, before: number): Promise<Appended> => {
      assert.equal(before, records.length)
      await new Promise(setImmediate)
      const first = records.length
      sizes.push(batch.size)
      for (const { body } of batch.records()) records.push(Buffer.from(body).toString())
      return { first: offset(first), next: offset(records.length), at: new Date(0), isRepeated: false }
    },
    onDurable: (_: Appended, count: number): void => void told.push(count),
  }
}

const pieces = (text: string, size: number): Readable => {
  const all = Buffer.from(text)
  return Readable.from(
    (function* () {
      for (let i = 0; i < all.length; i += size) yield all.subarray(i, i + size)
    })(),
    { objectMode: false },
  )
}

describe('appending a body of JSON lines', () => {
  it('keeps every line, in order, however the body is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.json(), fc.constant('')), { maxLength: 40 }),
        fc.integer({ min: 1, max: 200 }),
        fc.boolean(),
        async (lines, size, newline) => {
          const taken = stream()
          await appendLines(pieces(lines.join('\n') + (newline ? '\n' : ''), size), { ...limits, ...taken })
          assert.deepEqual(
            taken.records,
            lines.filter((l) => l !== ''),
          )
          assert.equal(
            taken.told.reduce((a, b) => a + b, 0),
            taken.records.length,
          )
        },
      ),
      { numRuns: 200 },
    )
  })

  it('appends in blocks that are no larger than the limit', async () => {
    const taken = stream()
    await appendLines(pieces(`${JSON.stringify({ a: 'x'.repeat(300) })}\n`.repeat(10_000), 65_536), {
      ...limits,
      ...taken,
    })
    assert.equal(taken.records.length, 10_000)
    assert.ok(Math.max(...taken.sizes) <= limits.blockBytes)
    assert.ok(taken.sizes.length <= 40, `${taken.sizes.length} blocks`)
  })

  it('appends all before a bad line, and says which it was', async () => {
    const taken = stream()
    await assert.rejects(appendLines(pieces('1\n\n2\n{"a":\n3\n', 3), { ...limits, ...taken }), {
      code: 'MESSAGE_NOT_JSON',
      message: /^line 4: /,
    })
    assert.deepEqual(taken.records, ['1', '2'])
    assert.deepEqual(
      taken.told.reduce((a, b) => a + b, 0),
      2,
    )
  })

  it('refuses a line that is too long without gathering it', async () => {
    const taken = stream()
    const body = pieces(`1\n"${'x'.repeat(1_000_000)}"\n`, 10_000)
    await assert.rejects(appendLines(body, { ...limits, ...taken }), { code: 'REQUEST_TOO_LARGE' })
    assert.deepEqual(taken.records, ['1'])
  })

  it('tells at once what is durable while the body stays open', async () => {
    const taken = stream()
    const body = new PassThrough()
    const told = Promise.withResolvers<void>()
    const done = appendLines(body, { ...limits, ...taken, onDurable: () => told.resolve() })
    body.write('{"a":1}\n{"half"')
    await told.promise
    assert.deepEqual(taken.records, ['{"a":1}'])
    body.end(':2}')
    await done
    assert.deepEqual(taken.records, ['{"a":1}', '{"half":2}'])
  })

  it('drops half a line of a body that is cut off', async () => {
    const taken = stream()
    const body = new PassThrough()
    const told = Promise.withResolvers<void>()
    const done = appendLines(body, { ...limits, ...taken, onDurable: () => told.resolve() })
    body.write('1\n2\n[3')
    await told.promise
    body.destroy()
    await assert.rejects(done, { code: 'INTERRUPTED' })
    assert.deepEqual(taken.records, ['1', '2'])
  })

  it('stops at an append that fails, though the body goes on', async () => {
    const body = new PassThrough()
    body.write('1\n')
    const failing = {
      append: async (): Promise<Appended> => await Promise.reject(new Error('full')),
      onDurable: (): void => {},
    }
    await assert.rejects(appendLines(body, { ...limits, ...failing }), /full/)
    assert.ok(body.isPaused())
  })

  it('ends a body that goes silent', async () => {
    const taken = stream()
    await assert.rejects(appendLines(new PassThrough(), { ...limits, ...taken, idleMs: 20 }), {
      code: 'REQUEST_TOO_SLOW',
    })
    assert.deepEqual(taken.records, [])
  })
})
