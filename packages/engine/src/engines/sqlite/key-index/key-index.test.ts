import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { isMillraceError } from '@millrace/sdk'
import { RecordBatch } from '../../../record-batch.ts'
import { streamName } from '../../../types.ts'
import { encodeContent } from '../block.ts'
import { SqliteEngine } from '../index.ts'
import { LogStore } from '../store.ts'
import { KeyIndex } from './key-index.ts'
import { mergeRuns, RunFile } from './run-file.ts'
import { indexPath } from './service.ts'

const root = mkdtempSync(join(tmpdir(), 'keys é-'))
after(() => rmSync(root, { recursive: true, force: true }))
const now = (): Date => new Date()
const fresh = (): string => join(mkdtempSync(join(root, 'e-')), 'streams.db')

/** The same numbers every time, below `n`. */
const random = (seed: number): ((n: number) => number) => {
  let state = seed
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
}

/** A log file that is written here and now, with what is expected of it. */
class Written implements Disposable {
  readonly path: string
  readonly store: LogStore
  readonly id: number
  at = 1_000
  keys: (string | undefined)[] = []
  first = 0

  constructor(path = fresh()) {
    this.path = path
    this.store = new LogStore(path, 'write')
    this.id = this.store.find('s') ?? this.store.create('s', 0, {})
  }

  append(keys: readonly (string | undefined)[]): void {
    const records = keys.map((key, i) => ({ key, body: Buffer.from(`${i}`) }))
    const content = encodeContent(RecordBatch.of(records))
    this.store.append([{ stream: this.id, name: 's', content, writer: undefined, at: this.at++ }])
    this.keys.push(...keys)
  }

  trim(before: number): void {
    this.first = this.store.trim(this.id, 's', before).first
  }

  /** Newest first. */
  expected(key: string, limit: number, before: number): readonly number[] {
    const out: number[] = []
    for (let i = Math.min(before, this.keys.length) - 1; i >= this.first && out.length < limit; i--)
      if (this.keys[i] === key) out.push(i)
    return out
  }

  [Symbol.dispose](): void {
    this.store.close()
  }
}

/** An index over it, as a thread has it. */
class Opened implements Disposable {
  readonly file: RunFile
  readonly index: KeyIndex
  readonly #store: LogStore
  readonly #log: Written

  constructor(log: Written, runEntries: number) {
    this.#log = log
    this.#store = new LogStore(log.path, 'read')
    this.file = RunFile.open(indexPath(log.path))
    this.index = new KeyIndex(this.file, this.#store, runEntries)
  }

  /** What it finds that has the key indeed, as the log asks for it. */
  async find(key: string, limit: number, before = Number.MAX_SAFE_INTEGER): Promise<readonly number[]> {
    const found: number[] = []
    let below = before
    for (;;) {
      const wanted = limit - found.length
      const question = { stream: this.#log.id, name: 's', key, limit: wanted, before: below }
      const [answer] = this.index.ask([question])
      const places = (await answer) as readonly number[]
      assert.ok(places.every((place, i) => place < (i === 0 ? below : (places[i - 1] as number))))
      found.push(...places.filter((place) => this.#log.keys[place] === key))
      if (places.length < wanted || found.length >= limit) return found
      below = places.at(-1) as number
    }
  }

  [Symbol.dispose](): void {
    this.file.close()
    this.#store.close()
  }
}

describe('the index of keys', () => {
  for (const seed of [1, 2, 3])
    it(`finds what is there, however it is appended, trimmed, asked and opened again (${seed})`, async () => {
      const below = random(seed)
      using log = new Written()
      let opened = new Opened(log, 50)
      // Another process on the same files.
      using other = new Opened(log, 50)
      try {
        for (let step = 0; step < 250; step++) {
          const kind = below(10)
          if (kind < 5)
            log.append(
              Array.from({ length: 1 + below(60) }, () => (below(5) === 0 ? undefined : `k${below(1 + below(400))}`)),
            )
          else if (kind === 5 && below(3) === 0) log.trim(log.first + below(log.keys.length - log.first + 1))
          else if (kind === 6 && below(3) === 0) {
            opened[Symbol.dispose]()
            opened = new Opened(log, 50)
          }
          for (let n = 0; n < 3; n++) {
            const key = `k${below(420)}`
            const limit = 1 + below(below(2) === 0 ? 3 : 200)
            const before = below(3) === 0 ? below(log.keys.length + 10) : Number.MAX_SAFE_INTEGER
            const who = below(4) === 0 ? other : opened
            assert.deepEqual(await who.find(key, limit, before), log.expected(key, limit, before), `${step} ${key}`)
          }
        }
      } finally {
        opened[Symbol.dispose]()
      }
    })

  it('keeps few runs, whose entries all are found', async () => {
    const below = random(7)
    using log = new Written()
    using opened = new Opened(log, 600)
    for (let i = 0; i < 60; i++) {
      log.append(Array.from({ length: 700 }, () => `id ${below(2 ** 32)}`))
      await opened.find('none', 1)
    }
    const runs = opened.file.runs(log.id)
    const entries = runs.reduce((n, run) => n + run.entries, 0)
    assert.ok(entries > 40_000 && runs.some((run) => run.bits > 4), JSON.stringify(runs))
    assert.ok(runs.length <= (mergeRuns - 1) * 4, `${runs.length} runs`)
    for (let n = 0; n < 500; n++) {
      const key = log.keys[below(log.keys.length)] as string
      assert.deepEqual(await opened.find(key, 10), log.expected(key, 10, Infinity))
    }
  })

  it('answers while it catches up, many at once, each by what was there when it asked', async () => {
    using log = new Written()
    for (let i = 0; i < 40; i++) log.append(Array.from({ length: 2_000 }, (_, k) => `k${(i * 2_000 + k) % 9_000}`))
    using opened = new Opened(log, 5_000)
    const asked = Array.from({ length: 50 }, (_, i) => `k${i * 170}`)
    const answers = await Promise.all(asked.map((key) => opened.find(key, 100)))
    assert.deepEqual(
      answers,
      asked.map((key) => log.expected(key, 100, Infinity)),
    )
  })

  it('drops the runs of what was trimmed, and of streams that were dropped', async () => {
    using log = new Written()
    {
      using opened = new Opened(log, 100)
      for (let i = 0; i < 10; i++) log.append(Array.from({ length: 100 }, (_, k) => `k${k}`))
      await opened.find('k1', 1)
      log.trim(990)
      log.append(Array.from({ length: 200 }, (_, k) => `k${k}`))
      await opened.find('k1', 1)
      assert.ok(
        opened.file.runs(log.id).every((run) => run.first + run.span > 990),
        JSON.stringify(opened.file.runs(log.id)),
      )
    }
    log.store.drop('s')
    using opened = new Opened(log, 100)
    await opened.index.tidy()
    assert.deepEqual(opened.file.streams(), [])
  })

  it('does not take the index of another log for its own', async () => {
    const log = new Written()
    log.append(Array.from({ length: 90 }, (_, k) => `k${k}`))
    const backup = `${log.path}.backup`
    log.store.close()
    cpSync(log.path, backup)
    {
      using later = new Written(log.path)
      later.keys = [...log.keys]
      later.append(Array.from({ length: 90 }, (_, k) => `later ${k}`))
      using opened = new Opened(later, 50)
      assert.deepEqual(await opened.find('later 3', 5), [93])
    }
    // The backup is taken, the index is not; then other records come to the same places.
    for (const end of ['-wal', '-shm']) rmSync(log.path + end, { force: true })
    cpSync(backup, log.path)
    using restored = new Written(log.path)
    restored.keys = log.keys.slice(0, 90)
    restored.at = 9_000
    restored.append(Array.from({ length: 300 }, (_, k) => `other ${k}`))
    using opened = new Opened(restored, 50)
    assert.deepEqual(await opened.find('other 3', 5), [93])
    assert.deepEqual(await opened.find('later 3', 5), [])
  })

  it('makes a damaged file anew, and reads the stream where it can have none', async () => {
    const path = fresh()
    const keys = Array.from({ length: 3_000 }, (_, i) => `k${i % 1_000}`)
    const find = async (): Promise<unknown> => {
      await using engine = await SqliteEngine.open({ path, now })
      const log = await engine.open(streamName('s'))
      return await log.find('k7', { limit: 10 })
    }
    {
      await using engine = await SqliteEngine.open({ path, now })
      const log = await engine.create(streamName('s'))
      await log.append(RecordBatch.of(keys.map((key) => ({ key, body: Buffer.from('x') }))))
      assert.deepEqual(await log.find('k7', { limit: 10 }), [2007n, 1007n, 7n])
    }
    writeFileSync(indexPath(path), 'this is no database at all'.repeat(1_000))
    assert.deepEqual(await find(), [2007n, 1007n, 7n])
    assert.equal(readFileSync(indexPath(path)).subarray(0, 15).toString(), 'SQLite format 3')
    for (const end of ['', '-wal', '-shm']) rmSync(indexPath(path) + end, { force: true })
    mkdirSync(indexPath(path))
    assert.deepEqual(await find(), [2007n, 1007n, 7n])
  })

  it('tells of a stream that is gone, and of nothing else', async () => {
    await using engine = await SqliteEngine.open({ path: fresh(), now })
    const log = await engine.create(streamName('s'))
    await log.append(RecordBatch.of([{ key: 'a', body: Buffer.from('x') }]))
    assert.deepEqual(await log.find('a', { limit: 1 }), [0n])
    await engine.drop(streamName('s'))
    await assert.rejects(
      () => log.find('a', { limit: 1 }),
      (e) => isMillraceError(e) && e.code === 'STREAM_UNKNOWN',
    )
  })

  it('loses nothing when it is killed at any point', async () => {
    const below = random(11)
    using log = new Written()
    for (let i = 0; i < 30; i++) log.append(Array.from({ length: 1_000 }, () => `k${below(20_000)}`))
    const finder = fileURLToPath(new URL('./fixtures/finder.ts', import.meta.url))
    for (let kill = 0; kill < 8; kill++) {
      const child = spawn(
        process.execPath,
        ['--disable-warning=ExperimentalWarning', finder, log.path, String(log.id)],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      )
      // It says when it has begun.
      await new Promise((resolve) => child.stdout.once('data', resolve))
      await new Promise((resolve) => setTimeout(resolve, 5 + below(60)))
      child.kill('SIGKILL')
      await new Promise((resolve) => child.once('close', resolve))
      log.append(Array.from({ length: 500 }, () => `k${below(20_000)}`))
    }
    using opened = new Opened(log, 300)
    for (let n = 0; n < 300; n++) {
      const key = `k${below(20_000)}`
      assert.deepEqual(await opened.find(key, 100), log.expected(key, 100, Infinity), key)
    }
  })
})
