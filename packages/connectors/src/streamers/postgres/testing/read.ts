/** Runs the streamer as a test wants it, and keeps what it said. */
import assert from 'node:assert/strict'
import {
  isMillraceError,
  isObject,
  type JsonObject,
  type Logger,
  type Message,
  MessageReader,
  type MillraceError,
  parseExact,
  RecordMessage,
  resolveConfig,
  runStreamer,
  silentLogger,
} from '@millrace/sdk'
import { postgres } from '../index.ts'

/** What a run wrote. */
export interface Ran {
  readonly messages: readonly Message[]
  readonly state: JsonObject | undefined
  readonly error: MillraceError | undefined
  /** The records of a substream, as JSON text. */
  readonly records: (stream: string) => readonly string[]
}

export interface ReadOptions {
  readonly command?: 'sync' | 'check'
  readonly state?: JsonObject | undefined
  readonly catalog?: JsonObject
  readonly log?: Logger
  readonly signal?: AbortSignal
  /** Told each message; what it answers is waited for, as for a slow destination. */
  readonly onMessage?: (message: Message) => void | Promise<void>
}

/** Runs it from a state to its end. Its failure is an answer. */
export const read = async (settings: JsonObject, options: ReadOptions = {}): Promise<Ran> => {
  const reader = new MessageReader()
  const messages: Message[] = []
  let error: MillraceError | undefined
  await runStreamer(postgres, {
    command: options.command ?? 'sync',
    config: resolveConfig(postgres.config, { kind: 'streamer', name: 'postgres', file: settings, strict: true }).config,
    log: options.log ?? silentLogger,
    signal: options.signal ?? new AbortController().signal,
    ...(options.state === undefined ? {} : { state: options.state }),
    ...(options.catalog === undefined ? {} : { catalog: options.catalog }),
    write: async (chunk: Uint8Array) => {
      for (const message of reader.push(Buffer.from(chunk))) {
        messages.push(message)
        await options.onMessage?.(message)
      }
    },
  }).catch((e: unknown) => {
    if (!isMillraceError(e)) throw e
    error = e
  })
  assert.equal(reader.failure, undefined)
  const last = messages.findLast((m) => m.type === 'STATE')
  return {
    messages,
    state: last === undefined ? options.state : (parseExact(last.text) as JsonObject),
    error,
    records: (stream) =>
      messages
        .filter((m): m is RecordMessage => m.type === 'RECORD' && m.stream === stream)
        .map((m) => m.bytes().toString()),
  }
}

/** The bookmark of a substream in a state. */
export const placeIn = (state: JsonObject | undefined, stream: string): JsonObject => {
  const found = ((state?.['bookmarks'] as JsonObject | undefined)?.[stream] as JsonObject | undefined)?.['bookmark']
  assert.ok(isObject(found ?? null), stream)
  return found as JsonObject
}

/** A destination that keeps one row for each key, as a persister with deletes: hard does. */
export class Mirror {
  readonly #rows = new Map<string, { readonly record: JsonObject; readonly version: RecordMessage['version'] }>()
  readonly #substream: string
  #keys: readonly string[] = []

  constructor(substream: string) {
    this.#substream = substream
  }

  take(messages: readonly Message[]): this {
    for (const m of messages) {
      if (m.type === 'STATE' || !('stream' in m) || m.stream !== this.#substream) continue
      if (m.type === 'SCHEMA') this.#keys = m.keyProperties
      else if (m.type === 'ACTIVATE_VERSION') {
        for (const [key, row] of this.#rows) if (row.version !== m.version) this.#rows.delete(key)
      } else if (m instanceof RecordMessage) {
        const { record } = m
        const key = JSON.stringify(this.#keys.map((k) => String(record[k])))
        if (record['_sdc_deleted_at'] === undefined) this.#rows.set(key, { record, version: m.version })
        else this.#rows.delete(key)
      }
    }
    return this
  }

  /** Its rows in the order of their first key. */
  get rows(): readonly JsonObject[] {
    const [key = ''] = this.#keys
    return [...this.#rows.values()].map((r) => r.record).toSorted((a, b) => Number(a[key]) - Number(b[key]))
  }
}
