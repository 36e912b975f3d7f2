/** The part of the persister suite that breaks things: kills, a closed pipe, a full disk. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isMillraceError } from '../errors/error.ts'
import { runPersister } from '../persister/run.ts'
import type { PersisterContext } from '../persister/types.ts'
import type { PersisterSuiteOptions } from './persister-suite.ts'

const records = 20_000
const stateEvery = 100
/** A child that says nothing for so long is killed all the same. */
const patienceMs = 10_000

/** Two substreams, one with a key; the state is the number of records sent. Text for records `from` (from 0) to `to`. */
const linesFrom = (from: number, to: number): Buffer => {
  const lines: string[] = []
  for (const [stream, keys] of [
    ['keyed', '["id"]'],
    ['plain', '[]'],
  ] as const)
    lines.push(
      `{"type":"SCHEMA","stream":"${stream}","schema":{"type":"object","properties":{"id":{"type":"integer"},"text":{"type":"string"}}},"key_properties":${keys}}`,
    )
  for (let i = from; i < to; i++) {
    const stream = i % 2 === 0 ? 'keyed' : 'plain'
    lines.push(`{"type":"RECORD","stream":"${stream}","record":{"id":${i},"text":"${'é'.repeat(40 + (i % 60))}"}}`)
    if ((i + 1) % stateEvery === 0) lines.push(`{"type":"STATE","value":${i + 1}}`)
  }
  return Buffer.from(`${lines.join('\n')}\n`)
}

/** How often each record is there. Fails at a row that is not whole. */
const countsOf = async (options: PersisterSuiteOptions, dir: string): Promise<Uint16Array> => {
  const counts = new Uint16Array(records)
  for (const [stream, rows] of await options.read(dir))
    for (const row of rows) {
      const id = Number(row['id'])
      assert.equal(stream, id % 2 === 0 ? 'keyed' : 'plain')
      assert.equal(row['text'], 'é'.repeat(40 + (id % 60)), `record ${id} is not whole`)
      counts[id] = (counts[id] as number) + 1
    }
  return counts
}

/** Fails unless every record before the state is there. */
const assertNotAhead = (counts: Uint16Array, state: number, what: string): void => {
  for (let i = 0; i < state; i++)
    assert.ok((counts[i] as number) > 0, `${what}: the state says ${state}, but record ${i} is not in the destination`)
}

const start = (options: PersisterSuiteOptions, dir: string): ChildProcess =>
  spawn(
    process.execPath,
    [
      fileURLToPath(new URL('./persister-child.ts', import.meta.url)),
      JSON.stringify({
        module: options.module?.href,
        name: options.persister.name,
        config: options.config(dir),
        flushRecords: stateEvery,
      }),
    ],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  )

interface Killed {
  readonly state: number | undefined
  readonly code: number | null
  readonly errors: string
}

/**
 * Feeds a child and lets it end; or leaves its input open and kills it once so many states came back and `ms` more
 * passed.
 */
const feed = async (
  child: ChildProcess,
  input: Buffer,
  kill: { readonly afterStates: number; readonly ms: number } | undefined,
): Promise<Killed> => {
  const { stdin, stdout, stderr } = child
  if (stdin === null || stdout === null || stderr === null) throw new Error('the child has no pipes')
  let out = ''
  let errors = ''
  let states = 0
  const ended = once(child, 'exit')
  const strike = async (): Promise<void> => {
    await delay(kill?.ms ?? 0)
    child.kill('SIGKILL')
  }
  stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
    states += text.split('\n').length - 1
    if (kill !== undefined && kill.afterStates > 0 && states >= kill.afterStates) void strike()
  })
  stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  // A killed reader closes its pipe: that is what is wanted here.
  stdin.on('error', () => {})
  if (kill === undefined) stdin.end(input)
  else stdin.write(input)
  if (kill?.afterStates === 0) void strike()
  const patience = kill === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), patienceMs)
  const closed = once(child, 'close')
  const [code] = (await ended) as [number | null]
  clearTimeout(patience)
  await closed
  const whole = out.slice(0, out.lastIndexOf('\n') + 1).trimEnd()
  return { state: whole === '' ? undefined : Number(whole.split('\n').at(-1)), code, errors }
}

/** A random number generator that gives the same numbers for the same seed (mulberry32). */
const generator = (seed: number): ((below: number) => number) => {
  let a = seed
  return (below) => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

/** A small file system of its own; undefined, with the reason, where none can be made. */
const smallDisk = (dir: string): string | undefined => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'only root on Linux may mount a small file system'
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', dir])
  return mounted.status === 0 ? undefined : `mount failed: ${String(mounted.stderr ?? mounted.error).trim()}`
}

export const faultTests = (
  options: PersisterSuiteOptions,
  folder: () => string,
  contextOf: (dir: string) => PersisterContext,
): void => {
  const { persister } = options
  const noModule = options.module === undefined ? 'the suite was not given its module' : false

  describe('faults', () => {
    test('killed at random points and resumed from its last state, nothing is lost', { skip: noModule }, async (t) => {
      const seed = Number(process.env['MILLRACE_SEED'] ?? randomInt(2 ** 31))
      t.diagnostic(`MILLRACE_SEED=${seed}`)
      const random = generator(seed)
      const dir = folder()
      const kills = options.kills ?? 20
      let state = 0
      for (let i = 0; i < kills; i++) {
        // More is sent than is waited for, so that most die at work; some before they began.
        const share = Math.ceil((records - state) / stateEvery / (kills - i))
        const to = Math.min(records, state + (2 * share + 4) * stateEvery + random(stateEvery))
        const afterStates = random(5) === 0 ? 0 : Math.min(1 + random(share + 1), Math.floor((to - state) / stateEvery))
        const end = await feed(start(options, dir), linesFrom(state, to), {
          afterStates,
          ms: afterStates === 0 ? random(200) : random(3),
        })
        assert.deepEqual([end.code, end.errors], [null, ''], `kill ${i}`)
        if (end.state !== undefined) state = end.state
        assertNotAhead(await countsOf(options, dir), state, `kill ${i}`)
      }
      const end = await feed(start(options, dir), linesFrom(state, records), undefined)
      assert.deepEqual([end.code, end.errors, end.state ?? state], [0, '', records])
      const counts = await countsOf(options, dir)
      assertNotAhead(counts, records, 'at the end')
      if (persister.supports.upsert)
        for (let i = 0; i < records; i += 2)
          assert.equal(counts[i], 1, `record ${i} has a key and is there ${counts[i]} times`)
    })

    test('a closed stdout ends it, and what it stored is whole', { skip: noModule }, async () => {
      const dir = folder()
      const child = start(options, dir)
      child.stdout?.destroy()
      const { stdin, stderr } = child
      let errors = ''
      stderr?.setEncoding('utf8').on('data', (text: string) => {
        errors += text
      })
      stdin?.on('error', () => {})
      stdin?.end(linesFrom(0, records))
      const [code] = (await once(child, 'close')) as [number | null]
      assert.deepEqual([code, errors.trim()], [1, 'PIPE_CLOSED'])
      await countsOf(options, dir)
    })

    const remote = { skip: options.remote === true && 'it writes to a server' }
    test('a full disk is told, what was committed is whole, and with more space it goes on', remote, async (t) => {
      const dir = folder()
      const reason = smallDisk(dir)
      if (reason !== undefined) {
        t.skip(reason)
        return
      }
      try {
        let state = 0
        const run = async (): Promise<void> => {
          const input = linesFrom(state, records)
          await runPersister(persister, {
            ...contextOf(dir),
            input: (async function* () {
              for (let at = 0; at < input.length; at += 65_536) yield input.subarray(at, at + 65_536)
            })(),
            flushRecords: stateEvery * 10,
            writeState: (line) => {
              state = Number(line)
            },
          })
        }
        await assert.rejects(run(), (e: unknown) => {
          assert.ok(isMillraceError(e), String(e))
          assert.equal(e.code, 'DESTINATION_FULL')
          return true
        })
        assert.equal(spawnSync('mount', ['-o', 'remount,size=64m', dir]).status, 0)
        assertNotAhead(await countsOf(options, dir), state, 'on a full disk')
        await run()
        assertNotAhead(await countsOf(options, dir), records, 'with more space')
      } finally {
        spawnSync('umount', ['-l', dir])
      }
    })
  })
}
