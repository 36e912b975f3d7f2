import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { RecordBatch } from '../../record-batch.ts'
import { streamName } from '../../types.ts'
import { SqliteEngine } from './index.ts'
import { SpareMemory } from './spare-memory.ts'

const kib = 1024

describe('memory that comes back from appends', () => {
  it('is filled again by what it is large enough for, and not by what is far smaller', () => {
    const spare = new SpareMemory()
    const first = spare.take(300 * kib)
    assert.ok(first.byteLength >= 300 * kib)
    spare.give(first)
    assert.notEqual(spare.take(100 * kib), first)
    assert.notEqual(spare.take(first.byteLength + 1), first)
    assert.equal(spare.take(310 * kib), first)
    // One append has it at a time.
    assert.notEqual(spare.take(310 * kib), first)
  })

  it('is kept up to a bound, the newest of it', () => {
    const spare = new SpareMemory(1024 * kib)
    const given = Array.from({ length: 5 }, () => new ArrayBuffer(256 * kib))
    for (const memory of given) spare.give(memory)
    spare.give(new ArrayBuffer(2048 * kib))
    const taken = Array.from({ length: 5 }, () => spare.take(256 * kib))
    assert.deepEqual(
      given.map((memory) => taken.includes(memory)),
      [false, true, true, true, true],
    )
  })

  it('leaves nothing of one append in another, whatever their sizes, and whether one of them is refused', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-spare-'))
    try {
      const path = join(folder, 'streams.db')
      const batchOf = (i: number): RecordBatch => {
        const size = ((i * 7919) % 300) + 1
        const count = ((i * 31) % 900) + 1
        const records = Array.from({ length: count }, (_, k) => ({
          body: Buffer.alloc(size + (k % 3), `${i}.${k} `),
          ...(i % 4 === 0 ? { key: `k${k}` } : {}),
        }))
        return RecordBatch.of(records)
      }
      const rounds = 120
      const written: string[] = []
      {
        await using engine = await SqliteEngine.open({ path, now: () => new Date() })
        await using log = await engine.create(streamName('s'))
        for (let i = 0; i < rounds; i += 4) {
          // Several under way at a time, so that memory comes back in another order than it went.
          const some = [i, i + 1, i + 2, i + 3].map(batchOf)
          const done = await Promise.allSettled([
            ...some.map(async (batch, k) => await log.append(batch, { writer: { id: `w${k}`, seq: BigInt(i + 1) } })),
            // Behind what this writer appended just before.
            log.append(batchOf(i + 1), { writer: { id: 'w0', seq: BigInt(i) } }),
          ])
          assert.equal(done.at(-1)?.status, 'rejected')
          for (const batch of some)
            for (const { body, key } of batch.records()) written.push(`${key} ${Buffer.from(body).toString()}`)
        }
      }
      await using engine = await SqliteEngine.open({ path, now: () => new Date() })
      await using log = await engine.open(streamName('s'))
      const found: string[] = []
      for (let at = await log.place({ from: 'first' }); ; ) {
        const stored = await log.read({ from: 'offset', offset: at })
        if (stored.length === 0) break
        for (const { records } of stored) {
          for (const { body, key } of records.records()) found.push(`${key} ${Buffer.from(body).toString()}`)
          at = (at + BigInt(records.count)) as typeof at
        }
      }
      assert.deepEqual(found.sort(), written.sort())
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
