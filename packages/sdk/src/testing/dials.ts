/**
 * A persister with dials for failure: it keeps records in memory and refuses, delays or dies where it is told to. For
 * tests of whatever drives a persister.
 */
import { MillraceError } from '../errors/error.ts'
import { encodeJson } from '../message/json.ts'
import type { RecordMessage } from '../message/record.ts'
import type { SchemaMessage } from '../message/types.ts'
import { definePersister } from '../persister/define.ts'
import { type Persister, type PersisterSession, RejectedRecords } from '../persister/types.ts'

/** What a dials persister was told and what it holds. Records are JSON text, by substream. */
export interface Dials {
  readonly persister: Persister
  /** What survives a crash: everything up to the last flush. */
  readonly durable: Map<string, string[]>
  readonly schemas: SchemaMessage[]
  /** The calls in their order: `declare orders`, `write orders 3`, `flush`, `dispose`. */
  readonly calls: string[]
}

export interface DialSettings {
  /** Fail the n-th call (from 1) of this kind. */
  readonly failAt?: { readonly call: 'declare' | 'write' | 'flush'; readonly n: number }
  /** Reject these records, as RejectedRecords does. */
  readonly reject?: (record: RecordMessage) => boolean
  /** Wait in each call, as a slow destination does. */
  readonly delay?: () => Promise<void>
  readonly opensRecords?: boolean
}

export const dials = (settings: DialSettings = {}): Dials => {
  const durable = new Map<string, string[]>()
  const schemas: SchemaMessage[] = []
  const calls: string[] = []
  const counts = { declare: 0, write: 0, flush: 0 }
  const step = async (call: 'declare' | 'write' | 'flush', said: string): Promise<void> => {
    calls.push(said)
    await settings.delay?.()
    counts[call]++
    if (settings.failAt?.call === call && settings.failAt.n === counts[call])
      throw new MillraceError('DESTINATION_UNAVAILABLE', {
        what: 'dials',
        why: `${call} ${counts[call]} failed as told`,
      })
  }
  const open = (): PersisterSession => {
    const pending: [string, string][] = []
    return {
      declare: async (schema) => {
        await step('declare', `declare ${schema.stream}`)
        schemas.push(schema)
      },
      write: async (substream, records) => {
        await step('write', `write ${substream} ${records.length}`)
        const rejected = records.filter((r) => settings.reject?.(r) === true)
        if (rejected.length > 0)
          throw new RejectedRecords(
            rejected.map((record) => ({
              record,
              error: new MillraceError('VALUE_NOT_STORABLE', {
                line: record.line,
                stream: substream,
                field: 'x',
                why: 'told so',
              }),
            })),
          )
        for (const r of records)
          pending.push([substream, settings.opensRecords === false ? r.bytes().toString() : encodeJson(r.record)])
      },
      activateVersion: async (message) => {
        calls.push(`activate ${message.stream} ${message.version}`)
      },
      flush: async () => {
        await step('flush', 'flush')
        for (const [substream, record] of pending.splice(0)) {
          const held = durable.get(substream)
          if (held === undefined) durable.set(substream, [record])
          else held.push(record)
        }
      },
      [Symbol.asyncDispose]: async () => {
        calls.push('dispose')
      },
    }
  }
  const persister = definePersister({
    name: 'dials',
    doc: 'Keeps records in memory and fails where it is told to.',
    config: {},
    supports: { upsert: false, exactNumbers: true, versions: true, opensRecords: settings.opensRecords ?? true },
    open: async () => open(),
  })
  return { persister, durable, schemas, calls }
}
