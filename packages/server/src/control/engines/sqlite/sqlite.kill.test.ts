/** A read mark and a lease that were acknowledged survive the end of every process, and the database is never torn. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { after, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { sharedReader } from '../../../domain/access.ts'
import { has, type OffsetRange, rangesOf, remove, size } from '../../../domain/ranges.ts'
import type { ControlPlane } from '../../control-plane.ts'
import { act } from '../../testing/world.ts'
import { openSqliteControlPlane } from './index.ts'

const root = mkdtempSync(join(tmpdir(), 'control-killed-'))
after(() => rmSync(root, { recursive: true, force: true }))
const program = fileURLToPath(new URL('./fixtures/reader.ts', import.meta.url))
const everything = { first: 0n, next: 1_000_000_000n }

interface Working {
  readonly child: ChildProcess
  /** Resolves when so many more things were acknowledged. */
  readonly more: (count: number) => Promise<void>
  /** Resolves when it is gone and all it said was heard. */
  readonly gone: Promise<unknown>
}

const start = (args: readonly string[], hear: (line: string) => void): Working => {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  lines.on('line', hear)
  const more = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await once(lines, 'line')
  }
  return { child, more, gone: Promise.all([once(child, 'close'), once(lines, 'close')]) }
}

const readRanges = async (plane: ControlPlane): Promise<readonly OffsetRange[]> => {
  const out: OffsetRange[] = []
  for (let from: bigint | undefined = 0n; from !== undefined; ) {
    const page = await plane.readStatus.read(
      { streamId: 's', reader: sharedReader },
      { ...everything, first: from },
      500,
    )
    out.push(...page.ranges)
    from = page.next
  }
  return out
}

it('keeps marks and leases that were acknowledged through 12 kills of two processes', {
  timeout: 180_000,
}, async () => {
  const path = join(root, 'control.db')
  const of = { streamId: 's', name: 'g' }
  {
    await using plane = await openSqliteControlPlane(path)
    await plane.groups.create(act(), of, { ackTimeoutMs: 1000, maxTries: 3 }, 0n)
  }
  const seed = Math.trunc(Math.random() * 1e6)
  let random = seed
  const below = (n: number): number => {
    random = (random * 1103515245 + 12345) % 2147483648
    return random % n
  }
  const marked: bigint[] = []
  const claimed: OffsetRange[] = []
  const acknowledged: OffsetRange[] = []
  const hear = (line: string): void => {
    const [what, first = '0', next = '0'] = line.split(' ')
    if (what === 'm') marked.push(BigInt(first))
    else (what === 'c' ? claimed : acknowledged).push({ first: BigInt(first), next: BigInt(next) })
  }
  for (let round = 0; round < 6; round++) {
    const both = ['a', 'b'].map((name, i) => start([path, name, String(round * 10_000_000 + i * 4_000_000)], hear))
    await Promise.all(both.map(({ more }) => more(5 + below(60))))
    for (const { child } of both) child.kill('SIGKILL')
    await Promise.all(both.map(({ gone }) => gone))

    const db = new DatabaseSync(path)
    assert.deepEqual(
      { ...db.prepare('pragma integrity_check').get() },
      { integrity_check: 'ok' },
      `round ${round}, seed ${seed}`,
    )
    db.close()
    await using plane = await openSqliteControlPlane(path)
    const read = await readRanges(plane)
    const lost = marked.filter((offset) => !has(read, offset))
    assert.deepEqual(lost, [], `marks in round ${round}, seed ${seed}`)
    // What was not acknowledged may have been done: of each of the four that mark, one.
    assert.ok(size(read) <= BigInt(marked.length + 4 * (round + 1)))

    const handedOut = claimed.flatMap(({ first, next }) => [first, next - 1n])
    assert.equal(new Set(handedOut).size, handedOut.length, `a record was handed out twice; seed ${seed}`)
    const group = await plane.groups.find(of)
    assert.ok(group !== undefined && handedOut.every((offset) => offset < group.cursor))
    const settled = group.cursor - group.leased
    const atLeast = size(acknowledged)
    assert.ok(
      settled >= atLeast && settled <= atLeast + BigInt(4 * (round + 1)),
      `${settled} settled, ${atLeast} acknowledged`,
    )
  }
  // All that was claimed and not acknowledged comes back, and nothing that was.
  await using plane = await openSqliteControlPlane(path)
  const cursor = (await plane.groups.find(of))?.cursor ?? 0n
  const back: OffsetRange[] = []
  for (let i = 0; ; i++) {
    const ids = Array.from({ length: 100 }, (_, n) => `last ${i} ${n}`)
    const claim = { consumer: 'last', at: new Date(10_000), count: 10_000n, within: { first: 0n, next: cursor }, ids }
    const leases = await plane.groups.claim(of, claim)
    if (leases.length === 0) break
    back.push(...leases.flatMap((lease) => lease.ranges))
  }
  const ofBack = rangesOf(
    back.flatMap(({ first, next }) => Array.from({ length: Number(next - first) }, (_, i) => first + BigInt(i))),
  )
  for (const { first } of acknowledged) assert.ok(!has(ofBack, first))
  const unacknowledged = remove(
    rangesOf(claimed.flatMap((r) => [r.first, r.next - 1n])),
    rangesOf(acknowledged.flatMap((r) => [r.first, r.next - 1n])),
  )
  // The last acknowledgement of each process may have been done and not told.
  assert.ok(size(remove(unacknowledged, ofBack)) <= 24n)
})
