/** Runs the streamer once for a test. */
import {
  isMillraceError,
  type Json,
  type JsonObject,
  type Logger,
  MessageReader,
  type MillraceError,
  parseExact,
  resolveConfig,
  runStreamer,
  silentLogger,
} from '@millrace/sdk'
import { github } from '../index.ts'

export interface Run {
  readonly records: readonly { readonly substream: string; readonly record: JsonObject }[]
  readonly state: JsonObject | undefined
  readonly error: MillraceError | undefined
  readonly logged: readonly string[]
  /** Keys of the records of a substream, in their order. */
  of(substream: string, key?: string): readonly Json[]
}

export interface RunOptions {
  readonly state?: Json | undefined
  /** Names of the substreams to read; left out: those read by default. */
  readonly only?: readonly string[]
  readonly onBytes?: (bytes: number) => void
  readonly signal?: AbortSignal
}

export const configOf = (settings: JsonObject): Readonly<Record<string, unknown>> =>
  resolveConfig(github.config, {
    kind: 'streamer',
    name: 'github',
    file: { accessToken: 'ghp_good', retryMs: 1, tries: 3, ...settings },
    strict: true,
  }).config

export const catalogOf = (only: readonly string[]): JsonObject => ({
  streams: only.map((name) => ({
    tap_stream_id: name,
    stream: name,
    schema: { type: 'object' },
    metadata: [{ breadcrumb: [], metadata: { selected: true } }],
  })),
})

export const run = async (settings: JsonObject, options: RunOptions = {}): Promise<Run> => {
  const reader = new MessageReader()
  const records: { substream: string; record: JsonObject }[] = []
  const logged: string[] = []
  let state: JsonObject | undefined
  let error: MillraceError | undefined
  const note = (m: string, f?: unknown): void => void logged.push(`${m} ${JSON.stringify(f ?? {})}`)
  const log: Logger = { ...silentLogger, info: note, warn: note, error: note }
  let bytes = 0
  try {
    await runStreamer(github, {
      command: 'sync',
      config: configOf(settings),
      state: options.state,
      catalog: options.only === undefined ? undefined : catalogOf(options.only),
      log,
      signal: options.signal ?? new AbortController().signal,
      graceMs: 200,
      write: (chunk) => {
        for (const m of reader.push(Buffer.from(chunk))) {
          if (m.type === 'RECORD') records.push({ substream: m.stream, record: m.record as JsonObject })
          if (m.type === 'STATE') state = parseExact(m.text) as JsonObject
        }
        bytes += chunk.length
        options.onBytes?.(bytes)
      },
    })
  } catch (e) {
    if (!isMillraceError(e)) throw e
    error = e
  }
  return {
    records,
    state,
    error,
    logged,
    of: (substream, key = 'id') => records.filter((r) => r.substream === substream).map((r) => r.record[key] ?? null),
  }
}
