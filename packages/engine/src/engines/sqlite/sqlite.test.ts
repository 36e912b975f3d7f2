import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, it } from 'node:test'
import { isMillraceError } from '@millrace/sdk'
import { RecordBatch } from '../../record-batch.ts'
import { offset, streamName } from '../../types.ts'
import { decodeContent, encodeContent, pack, unpack } from './block.ts'
import { SqliteEngine } from './index.ts'

const root = mkdtempSync(join(tmpdir(), 'streams-'))
after(() => rmSync(root, { recursive: true, force: true }))
const now = (): Date => new Date()
const fresh = (): string => join(mkdtempSync(join(root, 'e-')), 'streams.db')
const code = (wanted: string) => (e: unknown) => isMillraceError(e) && e.code === wanted
const one = (body: string): RecordBatch => RecordBatch.of([{ body: Buffer.from(body) }])
const s = streamName('s')

describe('the log in SQLite', () => {
  it('commits what many writers append together in few commits, and makes few blocks of it', async () => {
    const path = fresh()
    await using engine = await SqliteEngine.open({ path, now })
    const log = await engine.create(s)
    await Promise.all(Array.from({ length: 2_000 }, (_, i) => log.append(one(`r${i}`))))
    assert.equal((await log.bounds()).next, 2_000n)
    const db = new DatabaseSync(path, { readOnly: true })
    const { blocks } = db.prepare('select count(*) as blocks from block').get() as { blocks: number }
    db.close()
    assert.ok(blocks < 200, `${blocks} blocks`)
  })

  it('gathers small appends of one turn, each answered with its own place, in the order in which they were asked', async () => {
    const path = fresh()
    await using engine = await SqliteEngine.open({ path, now })
    const log = await engine.create(s)
    const memory = Buffer.from('shared')
    const asked = [
      log.append(one('a0')),
      log.append(RecordBatch.of([{ body: memory }, { key: 'k', body: Buffer.from('b1') }])),
      log.append(one('c'.repeat(20_000))),
      log.append(RecordBatch.lines(Buffer.from('d0\nd1\n'))),
      log.append(one('e0'), { writer: { id: 'w', seq: 1n } }),
      log.append(one('f0')),
      log.append(one('g0')),
    ]
    // The caller may use its memory again.
    memory.fill('x')
    const places = (await Promise.all(asked)).map(({ first, next }) => [Number(first), Number(next)])
    assert.deepEqual(places, [
      [0, 1],
      [1, 3],
      [3, 4],
      [4, 6],
      [6, 7],
      [7, 8],
      [8, 9],
    ])
    const [stored] = await Promise.all([log.read({ from: 'first' })])
    const bodies = stored
      .flatMap(({ records }) => [...records.records()])
      .map(({ body }) => Buffer.from(body).toString())
    assert.deepEqual(
      bodies.map((body) => body.slice(0, 6)),
      ['a0', 'shared', 'b1', 'cccccc', 'd0', 'd1', 'e0', 'f0', 'g0'],
    )
    assert.deepEqual(await log.find('k', { limit: 1 }), [offset(2)])
    await engine.drop(s)
    const refused = await Promise.allSettled([log.append(one('h')), log.append(one('i'))])
    assert.deepEqual(
      refused.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
  })

  it('keeps its files for their owner', {
    skip: process.platform === 'win32' ? 'needs modes of files' : false,
  }, async () => {
    const path = fresh()
    await using engine = await SqliteEngine.open({ path, now })
    await (await engine.create(s)).append(one('private'))
    const files = readdirSync(dirname(path))
    assert.ok(files.length >= 2, files.join())
    for (const file of files) assert.equal(statSync(join(dirname(path), file)).mode & 0o777, 0o600, file)
  })

  it('cuts a large append into blocks, all of which come or none', async () => {
    await using engine = await SqliteEngine.open({ path: fresh(), now })
    const log = await engine.create(s)
    const records = Array.from({ length: 25_000 }, (_, i) => ({ body: Buffer.from(`${i}`.padEnd(200)) }))
    assert.equal((await log.append(RecordBatch.of(records))).next, 25_000n)
    const stored = await log.read({ from: 'offset', offset: offset(24_999) })
    assert.equal(
      Buffer.from(stored[0]?.records.body(0) ?? [])
        .toString()
        .trim(),
      '24999',
    )
  })

  it('is followed from another engine on the same file', { timeout: 20_000 }, async () => {
    const path = fresh()
    await using writer = await SqliteEngine.open({ path, now })
    const log = await writer.create(s)
    await using reader = await SqliteEngine.open({ path, now })
    const follower = (await reader.open(s)).follow({ from: 'next' }, { signal: new AbortController().signal })
    const next = follower.next()
    await log.append(one('from there'))
    assert.equal(Buffer.from((await next).value?.[0]?.records.body(0) ?? []).toString(), 'from there')
  })

  it('frees the room of dropped streams, also of those that an ended process left', async () => {
    const path = fresh()
    const engine = await SqliteEngine.open({ path, now })
    const log = await engine.create(s)
    for (let i = 0; i < 30; i++) await log.append(one(`${i}`))
    await engine[Symbol.asyncDispose]()
    const db = new DatabaseSync(path)
    db.exec('update stream set name = null')
    const count = (): number => Number(db.prepare('select count(*) as n from block').get()?.['n'])
    assert.equal(count(), 30)
    await using again = await SqliteEngine.open({ path, now })
    // Behind the purge, which comes first.
    await again.create(streamName('other'))
    while (count() > 0) await (await again.open(streamName('other'))).retain(now())
    assert.equal(count(), 0)
    db.close()
  })

  it('says what is wrong with a file that it cannot use', async () => {
    const garbage = fresh()
    writeFileSync(garbage, 'this is no database, and it is long enough to be told from one'.repeat(50))
    await assert.rejects(SqliteEngine.open({ path: garbage, now }), code('LOG_DAMAGED'))
    await assert.rejects(SqliteEngine.open({ path: join(root, 'no', 'folder.db'), now }), code('LOG_UNAVAILABLE'))
    const newer = fresh()
    new DatabaseSync(newer).exec('pragma user_version = 99')
    await assert.rejects(SqliteEngine.open({ path: newer, now }), code('LOG_UNAVAILABLE'))
  })

  const isRoot = process.getuid?.() === 0
  it('tells a full disk, keeps what was acknowledged, and goes on when there is room', {
    skip: isRoot ? false : 'needs root to mount a small disk',
  }, async () => {
    const disk = join(root, 'disk')
    mkdirSync(disk)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', disk])
    try {
      await using engine = await SqliteEngine.open({ path: join(disk, 'streams.db'), now })
      const log = await engine.create(s)
      writeFileSync(join(disk, 'filling'), Buffer.alloc(3 * 1024 * 1024))
      let kept = 0
      const noise = (): RecordBatch =>
        RecordBatch.of([{ body: Buffer.from(Array.from({ length: 100_000 }, () => Math.random() * 256)) }])
      await assert.rejects(async () => {
        for (;;) {
          await log.append(noise())
          kept++
        }
      }, code('LOG_FULL'))
      assert.ok(kept > 3)
      assert.equal((await log.bounds()).next, BigInt(kept))
      rmSync(join(disk, 'filling'))
      assert.equal((await log.append(one('room'))).first, BigInt(kept))
    } finally {
      execFileSync('umount', [disk])
    }
  })
})

describe('a block', () => {
  it('is read as it was written, compressed or not, and refused where it is cut off', () => {
    const long = RecordBatch.of([{ key: 'k', body: Buffer.alloc(70_000, 'ab') }, { body: Buffer.alloc(3) }])
    for (const batch of [one(''), one('x'), long, RecordBatch.lines(Buffer.from('a\nbb\n'.repeat(500)))]) {
      const content = encodeContent(batch)
      const packed = pack(content)
      const read = decodeContent(unpack(packed, content.length))
      const plain = (b: RecordBatch) => [...b.records()].map((r) => ({ ...r, body: Buffer.from(r.body) }))
      assert.deepEqual(plain(read), plain(batch))
      assert.deepEqual([read.count, read.size], [batch.count, batch.size])
      assert.throws(() => unpack(packed.subarray(0, -1), content.length))
      assert.throws(() => decodeContent(content.subarray(0, -1)))
    }
  })
})
