/** Publishes numbered records while the manager is killed again and again: each is there once, in order, and no mark is lost. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { publishLines } from '@millrace/sdk/manager'
import { killedManager } from './support/killed-manager.ts'

const records = 100_000
const kills = 30
const perBlock = 100

/** Numbers between 0 and 1 that are the same for a seed (mulberry32). */
const chance = (seed: number): (() => number) => {
  let a = seed
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

test(`${records} records are published once each, in order, over ${kills} kills of the manager`, {
  timeout: 900_000,
}, async () => {
  const seed = Number(process.env['MILLRACE_SEED'] ?? Date.now() % 2 ** 31)
  console.log(`seed ${seed}`)
  const random = chance(seed)
  using manager = await killedManager()
  await manager.start()
  const params = { stream: 'numbers' }
  await manager.local().call('createStream', { body: { name: 'numbers' } })
  const client = await manager.clientOf('numbers')
  let durable = 0
  let lost = 0
  let sent = 0
  let isDone = false
  const advanced = new EventTarget()
  const blocks = async function* (): AsyncGenerator<Uint8Array> {
    while (sent < records) {
      const lines = Array.from({ length: Math.min(perBlock, records - sent) }, (_, i) => `{"n":${sent + i}}\n`)
      sent += lines.length
      yield Buffer.from(lines.join(''))
    }
  }
  const publishing = publishLines(client, blocks(), {
    stream: 'numbers',
    writer: 'numbers-1',
    patienceMs: 120_000,
    // So that it takes as long as the kills do.
    maxUnacknowledged: 4 * 1024,
    onDurable: (lines) => {
      durable = lines
      advanced.dispatchEvent(new Event('advance'))
    },
    onLost: () => lost++,
  }).finally(() => {
    isDone = true
    advanced.dispatchEvent(new Event('advance'))
  })
  publishing.catch(() => {})
  const reached = async (lines: number): Promise<void> => {
    while (durable < lines && !isDone)
      await new Promise((again) => advanced.addEventListener('advance', again, { once: true }))
  }
  let marked = 0
  for (let i = 1; i <= kills; i++) {
    const acknowledged = Math.floor(((i - 1 + random()) / (kills + 1)) * records)
    await reached(acknowledged)
    if (durable > marked) {
      const before = durable
      const { changed } = await client.call('markRead', { params, body: { before } })
      assert.equal(changed, before - marked)
      marked = before
    }
    await manager.kill()
    await manager.start()
    const page = await client.call('readRecords', {
      params,
      query: { from: `offset:${Math.max(0, marked - 1)}`, limit: 1 },
    })
    assert.equal((page as { readonly records: readonly unknown[] }).records.length, marked === 0 ? 0 : 1)
  }
  const done = await publishing
  assert.equal(done.lines, records)
  assert.ok(lost >= kills / 2, `the publisher lost its connection ${lost} times`)

  const { unread } = await client.call('countUnread', { params, query: {} })
  assert.equal(unread, records - marked, 'no mark was lost, and none made up')
  let next = 0
  for (let isAtEnd = false; !isAtEnd; ) {
    const response = await client.send(
      'readRecords',
      { params, query: { from: `offset:${next}`, limit: 10_000 } },
      { headers: { accept: 'application/x-ndjson' } },
    )
    for (const line of (await response.text()).split('\n')) if (line !== '') assert.equal(line, `{"n":${next++}}`)
    isAtEnd = response.headers.get('millrace-at-end') === 'true'
  }
  assert.equal(next, records)
  assert.equal(await manager.stop(), 0)
  for (const name of ['control.db', 'streams.db']) {
    using db = new DatabaseSync(join(manager.folder, '.millrace', name))
    assert.equal(Object.values(db.prepare('pragma integrity_check').get() ?? {})[0], 'ok')
  }
})
