/**
 * Plain functions for a script that is its own streamer: nothing to define, nothing to configure.
 *
 *     writeSchema('ip', { type: 'object', properties: { ip: { type: 'string' } } }, ['ip'])
 *     writeRecord('ip', { ip: '192.0.2.1' })
 *     writeState({ last: '192.0.2.1' })
 *
 * Each writes one message (or one a record) to stdout before it returns, in the order of the calls: when the script
 * ends, all is out, and a slow reader holds the script back. Throws PIPE_CLOSED where the reader went away and
 * MESSAGE_WRITE_NOT_FINITE for NaN and Infinity.
 */
import { writeSync } from 'node:fs'
import { Digest } from '../books/digest.ts'
import { MillraceError, systemCode } from '../errors/error.ts'
import { encodeJson, type Json, type JsonObject } from '../message/json.ts'
import { RecordEncoder } from './encode.ts'

const STDOUT = 1
/** Records of one call are written in pieces of this number. */
const pieceRecords = 1000
/** How long to wait before a descriptor that does not block is tried again, in milliseconds. */
const retryMs = 2

/** Says how the records of a substream look and which fields identify one. Comes before its records. */
export const writeSchema = (stream: string, schema: JsonObject, keyProperties: readonly string[] = []): void =>
  put(Buffer.from(`${encodeJson({ type: 'SCHEMA', stream, schema, key_properties: keyProperties })}\n`))

/** Writes one record. */
export const writeRecord = (stream: string, record: JsonObject): void => writeRecords(stream, [record])

/** Writes records; one call with many is much faster than many calls. */
export const writeRecords = (stream: string, records: Iterable<JsonObject>): void => {
  const encoder = new RecordEncoder(stream, { emitted: { records: 0, digest: new Digest() }, digests: false })
  let piece: JsonObject[] = []
  const flush = (): void => {
    if (piece.length > 0) put(encoder.encode(piece, new Date().toISOString()))
    piece = []
  }
  for (const record of records) if (piece.push(record) >= pieceRecords) flush()
  flush()
}

/** Says how far the script got: everything written before is covered by it. */
export const writeState = (value: Json): void => put(Buffer.from(`${encodeJson({ type: 'STATE', value })}\n`))

const put = (bytes: Uint8Array): void => {
  let at = 0
  while (at < bytes.length) {
    try {
      at += writeSync(STDOUT, bytes, at)
    } catch (e) {
      const code = systemCode(e)
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs)
      else if (code === 'EPIPE') throw new MillraceError('PIPE_CLOSED', {}, { cause: e })
      else throw e
    }
  }
}
