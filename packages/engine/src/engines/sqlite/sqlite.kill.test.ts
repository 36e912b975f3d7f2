/** An acknowledged append survives the end of every process (promise 2), and none is there twice or in part. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { streamName } from '../../types.ts'
import { SqliteEngine } from './index.ts'

const root = mkdtempSync(join(tmpdir(), 'streams-killed-'))
after(() => rmSync(root, { recursive: true, force: true }))
const program = fileURLToPath(new URL('./fixtures/appender.ts', import.meta.url))

interface Appender {
  readonly child: ChildProcess
  readonly acknowledged: () => number
  /** Resolves when so many more appends were acknowledged. */
  readonly more: (count: number) => Promise<void>
}

const start = (path: string, id: string): Appender => {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, path, id], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let last = -1
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  lines.on('line', (line) => {
    last = Number(line)
  })
  const more = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await once(lines, 'line')
  }
  return { child, acknowledged: () => last, more }
}

/** What the stream holds of each writer: the numbers of its appends, each checked to be whole. */
const appendsOf = async (path: string): Promise<ReadonlyMap<string, readonly number[]>> => {
  await using engine = await SqliteEngine.open({ path, now: () => new Date() })
  const log = await engine.open(streamName('s'))
  const found = new Map<string, number[]>()
  let at = await log.place({ from: 'first' })
  for (;;) {
    const stored = await log.read({ from: 'offset', offset: at })
    if (stored.length === 0) return found
    for (const { first, records } of stored) {
      assert.equal(first, at)
      for (const { body } of records.records()) {
        const [id, number, i] = Buffer.from(body).toString().split(' ') as [string, string, string]
        const numbers = found.get(id) ?? []
        found.set(id, numbers)
        if (i === '0') numbers.push(Number(number))
        else assert.equal(numbers.at(-1), Number(number), 'an append in part')
        at = (at + 1n) as typeof at
      }
    }
  }
}

it('keeps what was acknowledged, once and in order, through 12 kills of two processes', {
  timeout: 120_000,
}, async () => {
  const path = join(root, 'streams.db')
  const seed = Math.trunc(Math.random() * 1e6)
  let random = seed
  const below = (n: number): number => {
    random = (random * 1103515245 + 12345) % 2147483648
    return random % n
  }
  const acknowledged = new Map<string, number>()
  for (let round = 0; round < 6; round++) {
    const both = ['a', 'b'].map((id) => ({ id, ...start(path, id) }))
    await Promise.all(both.map(({ more }) => more(1 + below(40))))
    for (const { child } of both) child.kill('SIGKILL')
    await Promise.all(both.map(({ child }) => once(child, 'close')))
    for (const { id, acknowledged: last } of both) acknowledged.set(id, Math.max(acknowledged.get(id) ?? -1, last()))
    const found = await appendsOf(path)
    for (const [id, last] of acknowledged) {
      const numbers = found.get(id) ?? []
      assert.deepEqual(numbers, [...numbers.keys()], `appends of ${id} in round ${round}, seed ${seed}`)
      assert.ok(numbers.length > last, `${id} acknowledged ${last}, there are ${numbers.length}; seed ${seed}`)
    }
  }
})
