import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { collected, eventually, millrace, start, temporaryFolder } from './fixtures/program.ts'

/** Processes whose command line has this text. */
const processesOf = (text: string): readonly string[] =>
  execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
    .split('\n')
    .filter((l) => l.includes(text) && !l.includes('ps -eo'))

const slowTap = (marker: string): string => `i=0
trap '' TERM
# ${marker}
echo '{"type":"SCHEMA","stream":"t","schema":{"type":"object"},"key_properties":[]}'
while [ $i -lt 100000 ]; do
  i=$((i + 1))
  echo "{\\"type\\":\\"RECORD\\",\\"stream\\":\\"t\\",\\"record\\":{\\"id\\":$i}}"
  echo "{\\"type\\":\\"STATE\\",\\"value\\":{\\"id\\":$i}}"
  sleep 0.05
done
`

const stored = (folder: string): number => {
  const file = join(folder, 'out/t.jsonl')
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0
}

test('Ctrl-C once: a streamer finishes what it began, says where it is, and exits 130', async () => {
  using folder = temporaryFolder()
  const child = start(['streamer', 'hello', '--count', '100000000', '--shape', 'narrow', '--log-format', 'text'], {
    cwd: folder.path,
  })
  let last = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    last = (last + chunk.toString()).slice(-100_000)
  })
  child.stdout?.once('data', () => child.kill('SIGINT'))
  const { code, stderr } = await collected(child)
  assert.equal(code, 130)
  assert.match(stderr, /INTERRUPTED/)
  assert.match(last.trimEnd().split('\n').at(-1) ?? '', /^\{"type":"STATE"/)
})

test('Ctrl-C once: a persister stores what it read and prints its state', async () => {
  using folder = temporaryFolder()
  const child = start(['persister', 'jsonl', '--path', 'out'], { cwd: folder.path })
  const ended = collected(child)
  child.stdin?.write('{"type":"RECORD","stream":"t","record":{"id":1}}\n{"type":"STATE","value":{"id":1}}\n')
  await eventually(() => existsSync(join(folder.path, 'out')), 'the folder is open')
  await wait(200)
  child.kill('SIGTERM')
  const { code, stdout } = await ended
  assert.equal(code, 130)
  assert.equal(stdout, '{"id":1}\n')
  assert.equal(stored(folder.path), 1)
})

const runSlowly = (folder: string, marker: string): ChildProcess => {
  writeFileSync(join(folder, `${marker}.sh`), slowTap(marker))
  return start(
    ['run', '--from-exec', `exec sh ${marker}.sh`, '--to', 'jsonl', '--to.path', 'out', '--log-format', 'text'],
    { cwd: folder },
  )
}

test('Ctrl-C once stops a run: its books are kept, no process is left, and the next run goes on', async () => {
  using folder = temporaryFolder()
  const marker = `polite-${process.pid}`
  writeFileSync(join(folder.path, `${marker}.sh`), slowTap(marker).replace("trap '' TERM\n", ''))
  const child = start(
    ['run', '--from-exec', `exec sh ${marker}.sh`, '--to', 'jsonl', '--to.path', 'out', '--log-format', 'text'],
    { cwd: folder.path },
  )
  const ended = collected(child)
  await eventually(() => stored(folder.path) > 0, 'a record is stored')
  child.kill('SIGINT')
  const { code, stderr } = await ended
  assert.equal(code, 130, stderr)
  assert.match(stderr, /stopped by SIGINT/)
  assert.match(stderr, /was stopped after/)
  assert.deepEqual(processesOf(marker), [])
  const [run] = JSON.parse((await millrace(['runs', '--json'], { cwd: folder.path })).stdout) as {
    why: string
    counts: { stored: number }
  }[]
  assert.equal(run?.why, 'stopped')
  assert.equal(run?.counts.stored, stored(folder.path))
  const { stdout } = await millrace(['state', 'show', '--json'], { cwd: folder.path })
  // The tap may have been killed between a record and its state: that record is stored, and will come again.
  const state = (JSON.parse(stdout) as { value: { id: number } }[])[0]?.value.id ?? 0
  assert.ok(state === stored(folder.path) || state === stored(folder.path) - 1, `${state} of ${stored(folder.path)}`)
})

test('Ctrl-C twice stops at once, also programs that do not listen', async () => {
  using folder = temporaryFolder()
  const marker = `deaf-${process.pid}`
  const child = runSlowly(folder.path, marker)
  const ended = collected(child)
  await eventually(() => stored(folder.path) > 0, 'a record is stored')
  child.kill('SIGINT')
  await wait(300)
  const secondAt = performance.now()
  child.kill('SIGINT')
  assert.equal((await ended).code, 130)
  // Waited for, they would have half a minute.
  assert.ok(performance.now() - secondAt < 20_000)
  await eventually(() => processesOf(marker).length === 0, 'no process is left')
})

test('signals in quick succession count as one', async () => {
  using folder = temporaryFolder()
  const child = start(['streamer', 'hello', '--count', '100000000', '--shape', 'narrow'], { cwd: folder.path })
  let last = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    last = (last + chunk.toString()).slice(-100_000)
  })
  child.stdout?.once('data', () => {
    child.kill('SIGTERM')
    child.kill('SIGINT')
  })
  assert.equal((await collected(child)).code, 130)
  assert.match(last.trimEnd().split('\n').at(-1) ?? '', /^\{"type":"STATE"/)
})

for (const command of ['persister', 'run'] as const)
  test(`Ctrl-C once while a destination does not answer ends: ${command}`, async () => {
    using folder = temporaryFolder()
    const silent = createServer()
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const url = `postgresql://someone@127.0.0.1:${(silent.address() as AddressInfo).port}/db`
    const asked = once(silent, 'connection') as Promise<[Socket]>
    const args =
      command === 'persister'
        ? ['persister', 'postgres', '--url', url]
        : ['run', '--from', 'hello', '--to', 'postgres', '--to.url', url]
    const child = start([...args, '--log-format', 'text'], { cwd: folder.path })
    const ended = collected(child)
    const [socket] = await asked
    child.kill('SIGINT')
    const { code, stderr } = await ended
    socket.destroy()
    silent.close()
    assert.equal(code, 130, stderr)
    assert.match(stderr, /stopped by SIGINT/)
    assert.doesNotMatch(stderr, /\n\s+at /)
  })
