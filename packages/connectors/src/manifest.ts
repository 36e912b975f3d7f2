/** The connectors that come with Millrace, by their folders. Made by scripts/generate/manifest.ts; do not edit. */
import type { Persister, Streamer } from '@millrace/sdk'

export const streamers: Readonly<Record<string, () => Promise<Streamer>>> = {
  files: async () => (await import('./streamers/files/index.ts')).files,
  git: async () => (await import('./streamers/git/index.ts')).git,
  github: async () => (await import('./streamers/github/index.ts')).github,
  hello: async () => (await import('./streamers/hello/index.ts')).hello,
  http: async () => (await import('./streamers/http/index.ts')).http,
  postgres: async () => (await import('./streamers/postgres/index.ts')).postgres,
  singer: async () => (await import('./streamers/singer/index.ts')).singer,
  stream: async () => (await import('./streamers/stream/index.ts')).stream,
  streamduo: async () => (await import('./streamers/streamduo/index.ts')).streamduo,
}

export const persisters: Readonly<Record<string, () => Promise<Persister>>> = {
  amqp: async () => (await import('./persisters/amqp/index.ts')).amqp,
  csv: async () => (await import('./persisters/csv/index.ts')).csv,
  duckdb: async () => (await import('./persisters/duckdb/index.ts')).duckdb,
  http: async () => (await import('./persisters/http/index.ts')).http,
  jsonl: async () => (await import('./persisters/jsonl/index.ts')).jsonl,
  parquet: async () => (await import('./persisters/parquet/index.ts')).parquet,
  postgres: async () => (await import('./persisters/postgres/index.ts')).postgres,
  s3: async () => (await import('./persisters/s3/index.ts')).s3,
  singer: async () => (await import('./persisters/singer/index.ts')).singer,
  sqlite: async () => (await import('./persisters/sqlite/index.ts')).sqlite,
  stitch: async () => (await import('./persisters/stitch/index.ts')).stitch,
  stream: async () => (await import('./persisters/stream/index.ts')).stream,
  streamduo: async () => (await import('./persisters/streamduo/index.ts')).streamduo,
}
