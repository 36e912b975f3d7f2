/** Promise 6 over HTTP: neither the number of pages nor a slow endpoint decides the size of a process. */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { sendJson, startHttpServer } from '@millrace/sdk/testing'
import { start, temporaryFolder } from './fixtures/program.ts'

const perPage = 1000

const peakMiB = (child: ChildProcess): number => {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
  } catch {
    return 0 // it has ended
  }
}

/** Moves so many pages from a server to an endpoint; the peaks of both processes in MiB. */
const move = async (pages: number): Promise<{ readonly streamer: number; readonly persister: number }> => {
  using folder = temporaryFolder()
  const records = Array.from({ length: perPage }, (_, i) => ({ id: i, name: `é ${i}`, value: i / 7, none: null }))
  let taken = 0
  const peaks = { streamer: 0, persister: 0 }
  await using server = await startHttpServer((q, r) => {
    peaks.streamer = Math.max(peaks.streamer, peakMiB(left))
    peaks.persister = Math.max(peaks.persister, peakMiB(right))
    if (q.method === 'POST') {
      taken += q.body.toString('latin1').split('"id":').length - 1
      sendJson(r, '')
      return
    }
    const page = Number(new URL(q.url, 'http://x').searchParams.get('page') ?? 0)
    sendJson(r, { data: records, next: page + 1 < pages ? page + 1 : null })
  })
  const substreams = {
    things: { path: '/', records: 'data', pages: { style: 'cursor', at: 'next', parameter: 'page' } },
  }
  const left = start(
    ['streamer', 'http', '--base-url', server.url, '--substreams', JSON.stringify(substreams)],
    { cwd: folder.path },
    ['ignore', 'pipe', 'inherit'],
  )
  const right = start(['persister', 'http', '--url', server.url, '--log-level', 'error'], { cwd: folder.path }, [
    left.stdout,
    'ignore',
    'inherit',
  ])
  left.stdout?.destroy()
  try {
    assert.equal(await new Promise((done) => right.on('close', done)), 0)
  } finally {
    left.kill('SIGKILL')
  }
  assert.equal(taken, pages * perPage)
  return peaks
}

test('from many pages into an endpoint, in a size that hardly moves', {
  skip: existsSync('/proc/self/status') ? false : 'needs /proc',
}, async (t) => {
  const some = await move(100)
  const all = await move(300)
  t.diagnostic(JSON.stringify({ some, all }))
  for (const side of ['streamer', 'persister'] as const) {
    assert.ok(all[side] < 320, `${side}: ${all[side].toFixed()} MiB`)
    assert.ok(all[side] < some[side] * 1.4, `${side}: from ${some[side].toFixed()} to ${all[side].toFixed()} MiB`)
  }
})
