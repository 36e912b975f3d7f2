/** Promise 6: the length of a table does not decide the size of the process, nor does a reader that is slower than it. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { resolveConfig, runStreamer, silentLogger } from '@millrace/sdk'
import { findPostgres, type PostgresServer, type TestDatabase } from '../../testing/services/postgres.ts'
import { postgres } from './index.ts'

const server: PostgresServer = await findPostgres()
const { skip } = server
let db: TestDatabase
before(async () => {
  if (skip === false) db = await server.database()
})
after(async () => {
  if (skip === false) await db[Symbol.asyncDispose]()
})

/** Reads a view of so many rows of 100 bytes; what it wrote, and by how much the process grew at most. */
const read = async (rows: number, takes: () => Promise<unknown>): Promise<{ bytes: number; grownMiB: number }> => {
  await db.query(`create or replace view series as
    select i::bigint as id, md5(i::text) || md5(i::text) as text, i / 7::numeric as amount from generate_series(1, ${rows}) i`)
  const { config } = resolveConfig(postgres.config, {
    kind: 'streamer',
    name: 'postgres',
    file: { url: db.url, schemas: ['public'] },
    strict: true,
  })
  const before = process.memoryUsage().rss
  let peak = before
  let bytes = 0
  await runStreamer(postgres, {
    command: 'sync',
    config,
    log: silentLogger,
    signal: new AbortController().signal,
    write: async (chunk) => {
      bytes += chunk.length
      peak = Math.max(peak, process.memoryUsage().rss)
      await takes()
    },
  })
  return { bytes, grownMiB: (peak - before) / 2 ** 20 }
}

test('a million rows, and a reader that is slow, in a size that hardly moves', { skip }, async (t) => {
  const at = async (): Promise<void> => {}
  // What is loaded and warm before is not counted.
  await read(50_000, at)
  const million = await read(1_000_000, at)
  const slow = await read(200_000, () => pause(5))
  t.diagnostic(JSON.stringify({ million, slow }))
  assert.ok(million.bytes > 150 * 2 ** 20, `only ${million.bytes} bytes came`)
  assert.ok(slow.bytes > 30 * 2 ** 20, `only ${slow.bytes} bytes came`)
  assert.ok(million.grownMiB < 64, `a million rows: ${million.grownMiB.toFixed()} MiB`)
  assert.ok(slow.grownMiB < 64, `a slow reader: ${slow.grownMiB.toFixed()} MiB`)
})
