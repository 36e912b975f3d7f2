/**
 * Promise 6: the size of a stream never decides the size of a process. A pipe of two programs is fed 10^4 and then many
 * more records; the greatest resident size of each process stays below its limit and hardly moves.
 * MILLRACE_TEST_RECORDS sets the greater count (the page of benchmarks has 10^7 for every persister).
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../../packages/cli/bin/millrace.mjs', import.meta.url))
const few = 10_000

const peakMiB = (pid: number): number => {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
  } catch {
    return 0 // it has ended
  }
}

/** Sends `count` narrow records through the pipe; the peaks of both processes in MiB, and the last state. */
const pipe = async (
  persister: string,
  path: string,
  count: number,
): Promise<{ streamer: number; persister: number; state: string }> => {
  const left = spawn(process.execPath, [bin, 'streamer', 'hello', '--shape', 'narrow', '--count', String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const right = spawn(process.execPath, [bin, 'persister', persister, '--path', path, '--log-level', 'error'], {
    stdio: [left.stdout, 'pipe', 'inherit'],
  })
  left.stdout.destroy()
  let state = ''
  right.stdout.on('data', (c: Buffer) => {
    state = (state + c.toString()).split('\n').slice(-2).join('\n')
  })
  const peaks = { streamer: 0, persister: 0 }
  const watch = setInterval(() => {
    peaks.streamer = Math.max(peaks.streamer, peakMiB(left.pid as number))
    peaks.persister = Math.max(peaks.persister, peakMiB(right.pid as number))
  }, 20)
  try {
    const code = await new Promise((resolve) => right.on('close', resolve))
    assert.equal(code, 0)
    return { ...peaks, state: state.trim() }
  } finally {
    clearInterval(watch)
    left.kill('SIGKILL')
  }
}

describe('memory', { skip: existsSync('/proc/self/status') ? false : 'needs /proc' }, () => {
  for (const [name, limitMiB, many] of [
    ['jsonl', 200, 10_000_000],
    ['csv', 200, 2_000_000],
    ['sqlite', 200, 2_000_000],
    ['duckdb', 400, 2_000_000],
  ] as const) {
    it(`${name}: flat from ${few.toLocaleString('en')} to ${many.toLocaleString('en')} records, below ${limitMiB} MiB`, {
      timeout: 150_000,
    }, async () => {
      const dir = await mkdtemp(join(tmpdir(), 'millrace-memory-'))
      try {
        const path = (n: string): string => join(dir, name === 'sqlite' || name === 'duckdb' ? `${n}.db` : n)
        const count = Number(process.env['MILLRACE_TEST_RECORDS'] ?? many)
        // Past its start: a tenth of the records already shows the working size.
        const some = await pipe(name, path('some'), count / 10)
        const all = await pipe(name, path('all'), count)
        assert.match(all.state, new RegExp(`\\b${count}\\b`), 'everything arrived')
        for (const side of ['streamer', 'persister'] as const) {
          const limit = side === 'persister' ? limitMiB : 200
          assert.ok(all[side] < limit, `${side}: ${all[side].toFixed()} MiB at ${count} records`)
          // DuckDB fills its buffer pool up to the limit that we give it, as long as there is something to fill it with.
          if (name === 'duckdb' && side === 'persister') continue
          // Ten times the records; the memory for young values moves by some ten MiB from run to run.
          assert.ok(
            all[side] < some[side] * 1.5 + 32,
            `${side} grew: ${some[side].toFixed()} → ${all[side].toFixed()} MiB`,
          )
        }
      } finally {
        await rm(dir, { recursive: true, force: true })
      }
    })
  }
})
