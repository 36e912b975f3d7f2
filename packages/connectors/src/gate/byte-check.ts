/**
 * Says of a record's bytes that they are JSON and fit the schema, without making a value of them. It only ever says a
 * certain yes: whatever is out of the ordinary (an escape in a name, a 1.0 where an integer is wanted, a bound on a number
 * of twenty digits) is a "do not know", and the record is parsed and checked by Ajv, which also finds the words.
 *
 * That is many times as fast as parsing and checking (docs/decisions/0003), and a record that only moves on as bytes is
 * never opened at all.
 */
import type { JsonObject } from '@millrace/sdk'
import { byteNodeOf } from './byte-nodes.ts'
import { ByteWalker } from './byte-walker.ts'

/** Answers of bytes, where true is certain and false says nothing. */
export interface ByteCheck {
  /** Whether [from, to) of `bytes` is one JSON object and valid. */
  readonly accepts: (bytes: Buffer, from: number, to: number) => boolean
  /** Whether these are such objects, a newline behind each. */
  readonly acceptsLines: (lines: Buffer) => boolean
}

/** The byte check of a schema, or undefined where it has something that bytes do not decide. */
export const compileByteCheck = (schema: JsonObject, keys: readonly string[]): ByteCheck | undefined => {
  const root = byteNodeOf(schema, keys)
  if (root === undefined) return undefined
  let walker: ByteWalker | undefined
  let place = 0
  const ready = (): ByteWalker => {
    const current = ByteWalker.current
    if (walker !== current) {
      walker = current
      place = current.place(root)
    }
    return current
  }
  return {
    accepts: (bytes, from, to) => ready().accepts(place, bytes, from, to),
    acceptsLines: (lines) => ready().acceptsLines(place, lines),
  }
}
