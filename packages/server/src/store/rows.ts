/** Rows of the database as what they stand for. */
import { type Evidence, type JsonObject, parseExact } from '@millrace/sdk'
import type { RunRecord, StateEntry, StateOrigin } from './types.ts'

export type Row = Record<string, unknown>

const optional = (v: unknown): string | undefined => (v === null || v === undefined ? undefined : String(v))

export const runOf = (r: Row): RunRecord => ({
  id: String(r['id']),
  pipeline: String(r['pipeline']),
  mode: r['mode'] as RunRecord['mode'],
  startedAt: String(r['started_at']),
  endedAt: optional(r['ended_at']),
  why: optional(r['why']) as RunRecord['why'],
  exitCode: r['exit_code'] === null ? undefined : Number(r['exit_code']),
  error: r['error_code'] === null ? undefined : { code: String(r['error_code']), message: String(r['error_message']) },
  counts: {
    received: Number(r['received']),
    stored: Number(r['stored']),
    filtered: Number(r['filtered']),
    deadLettered: Number(r['dead_lettered']),
    bytes: Number(r['bytes']),
  },
  destination: String(r['destination']),
  place: optional(r['place']),
  definition: r['definition'] === null ? undefined : (parseExact(String(r['definition'])) as JsonObject),
})

export const stateOf = (r: Row): StateEntry => ({
  id: Number(r['id']),
  pipeline: String(r['pipeline']),
  run: optional(r['run']),
  at: String(r['at']),
  origin: r['origin'] as StateOrigin,
  text: optional(r['text']),
  records: Number(r['records']),
})

export const evidenceOf = (r: Row): Evidence => ({
  substream: String(r['substream']),
  rows: Number(r['row_count']),
  marks: parseExact(String(r['marks'])) as JsonObject,
})
