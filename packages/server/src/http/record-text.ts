/**
 * Records in the forms in which they leave: JSON with all that is known of each, JSON lines of bodies, server-sent events. Bodies go as
 * they are kept: a number keeps its digits, nothing is parsed and written again.
 */
import { isUtf8 } from 'node:buffer'
import type { StoredBatch } from '@millrace/engine'
import { checkJsonLines, encodeJson } from '@millrace/sdk'

/** A record that is on its way out. */
export interface OutRecord {
  readonly offset: bigint
  readonly id: string
  readonly atMs: number
  readonly key: string | undefined
  readonly contentType: string
  readonly body: Uint8Array
  /** Whether the body is sound JSON and may stand in JSON as it is. */
  readonly isJson: boolean
  readonly wasRead?: boolean | undefined
}

const NEWLINE = 10
const RETURN = 13
const SPACE = 32

/** Whether a content type says JSON: application/json, text/json, anything+json. */
export const saysJson = (contentType: string): boolean => /^[\w.+-]+\/(?:[\w.-]+\+)?json\s*(;|$)/i.test(contentType)
export const saysText = (contentType: string): boolean => /^text\//i.test(contentType)

/** Whether each record of a batch that says it is JSON is: others may have come from programs that promise nothing. */
export const jsonOf = (batch: StoredBatch, contentType: string): ((i: number) => boolean) => {
  const { records } = batch
  if (records.contentTypes === undefined && !saysJson(contentType)) return () => false
  if (records.contentTypes === undefined && records.gap === 1) {
    try {
      // Lines as they came: one pass over all of them.
      const { ends } = checkJsonLines(records.bytes.subarray(0, records.contentEnd))
      if (ends.length === records.count && ends.every((end, i) => end === records.ends[i])) return () => true
    } catch {
      // One is not; below each is asked.
    }
  }
  return (i) => saysJson(records.contentTypes?.[i] ?? contentType) && isJson(records.body(i))
}

const isJson = (body: Uint8Array): boolean => {
  try {
    return checkJsonLines(oneLine(body)).ends.length === 1
  } catch {
    return false
  }
}

const hasBreak = (b: Uint8Array): boolean => b.includes(NEWLINE) || b.includes(RETURN)

/** JSON on one line: outside of texts a line break is a space, and inside none may stand. */
export const oneLine = (body: Uint8Array): Uint8Array => {
  if (!hasBreak(body)) return body
  const out = Buffer.from(body)
  for (let i = 0; i < out.length; i++) if (out[i] === NEWLINE || out[i] === RETURN) out[i] = SPACE
  return out
}

/** The records of a batch one by one. */
export const outRecords = function* (
  batch: StoredBatch,
  stream: { readonly contentType: string; readonly ids: readonly string[] },
): Generator<OutRecord> {
  const { records } = batch
  const json = jsonOf(batch, stream.contentType)
  const atMs = batch.at.getTime()
  for (let i = 0; i < records.count; i++)
    yield {
      offset: batch.first + BigInt(i),
      id: stream.ids[i] as string,
      atMs,
      key: records.keys?.[i],
      contentType: records.contentTypes?.[i] ?? stream.contentType,
      body: records.body(i),
      isJson: json(i),
    }
}

/** Everything of a record as one JSON object on one line: `value` is JSON as it was published, `text` text, `base64` anything else. */
export const envelope = (r: OutRecord): readonly Uint8Array[] => {
  const head =
    `{"offset":${r.offset},"id":${encodeJson(r.id)},"at":"${new Date(r.atMs).toISOString()}"` +
    (r.key === undefined ? '' : `,"key":${encodeJson(r.key)}`) +
    `,"contentType":${encodeJson(r.contentType)}` +
    (r.wasRead === undefined ? '' : `,"wasRead":${r.wasRead}`)
  if (r.isJson) return [Buffer.from(`${head},"value":`), oneLine(r.body), Buffer.from('}')]
  const b = Buffer.from(r.body.buffer, r.body.byteOffset, r.body.length)
  return [
    Buffer.from(
      isUtf8(b) ? `${head},"text":${encodeJson(b.toString())}}` : `${head},"base64":"${b.toString('base64')}"}`,
    ),
  ]
}

/** The body of a record as a line: JSON as it is, what is text as it is where lines of text are wanted, else as a JSON text. */
export const bodyLine = (r: OutRecord, as: 'json' | 'text'): Uint8Array => {
  if (r.isJson) return oneLine(r.body)
  if (as === 'text') return r.body
  const b = Buffer.from(r.body.buffer, r.body.byteOffset, r.body.length)
  return Buffer.from(encodeJson(isUtf8(b) ? b.toString() : b.toString('base64')))
}

const eventEnd = Buffer.from('\n\n')

/**
 * A record as a server-sent event whose id is its offset. `record`: the data is the envelope. `body`: the data is the body; one that
 * an event cannot carry as it is comes as Base64, with `event: base64`.
 */
export const event = (r: OutRecord, form: 'record' | 'body'): readonly Uint8Array[] => {
  const id = `id: ${r.offset}\n`
  if (form === 'record') return [Buffer.from(`${id}data: `), ...envelope(r), eventEnd]
  if (r.isJson) return [Buffer.from(`${id}data: `), oneLine(r.body), eventEnd]
  const b = Buffer.from(r.body.buffer, r.body.byteOffset, r.body.length)
  // A reader of events takes \r for the end of a line, and U+0000 for trouble.
  if (!isUtf8(b) || b.includes(RETURN) || b.includes(0))
    return [Buffer.from(`${id}event: base64\ndata: ${b.toString('base64')}\n\n`)]
  return [Buffer.from(`${id}data: ${b.toString().replaceAll('\n', '\ndata: ')}\n\n`)]
}
