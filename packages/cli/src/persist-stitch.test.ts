/** `persist-stitch` in each of the ways in which it was ever called, against an Import API on the loopback. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startStitchServer } from '@millrace/sdk/testing'
import { collected, type Ended, temporaryFolder } from './fixtures/program.ts'

const executable = fileURLToPath(new URL('../bin/persist-stitch.mjs', import.meta.url))

const persist = async (
  args: readonly string[],
  { cwd, input, env = {} }: { readonly cwd: string; readonly input?: string; readonly env?: Record<string, string> },
): Promise<Ended> => {
  const child = spawn(process.execPath, [executable, ...args], { cwd, env: { PATH: process.env['PATH'], ...env } })
  child.stdin.on('error', () => {})
  child.stdin.end(input ?? '')
  return await collected(child)
}

const commit = (n: number): string =>
  `{"type": "RECORD", "key_fields": ["sha"], "stream": "commits", "record": {"sha": "${n}", "n": 12345678901234567890}}\n`
const jsonline = `stitchstream/0.1\nContent-Type: jsonline\n--\n${Array.from({ length: 41 }, (_, i) => commit(i)).join('')}{"type": "BOOKMARK", "value": "2016-11-01"}\n`
const transit =
  'stitchstream/0.1\nContent-Type: transit\n--\n["^ ","type","RECORD","record",["^ ","orgId",9999,"name","Stitch Support","id",9999,"createdAt","~m1468435557000"],"stream","inboxes","key_fields",["id"]]\n["^ ","type","BOOKMARK","value",["^ ","since",7]]\n'
const singer =
  '{"type":"SCHEMA","stream":"users","schema":{"properties":{"id":{"type":"integer"}}},"key_properties":["id"]}\n{"type":"RECORD","stream":"users","record":{"id":1}}\n{"type":"STATE","value":{"a":1}}\n'

test('with -C and -T, on a 0.1 stream: what was persisted on stderr, the bookmark on stdout', async () => {
  await using server = await startStitchServer()
  using folder = temporaryFolder()
  const env = { STITCH_URL: server.url }
  const done = await persist(['-C', '7723', '-T', 'stitch-token'], { cwd: folder.path, input: jsonline, env })
  assert.equal(done.code, 0, done.stderr)
  assert.equal(done.stdout, '"2016-11-01"\n')
  assert.match(done.stderr, /^INFO Persisted batch of 41 records to Stitch$/m)
  assert.equal(server.tables.rows('commits').length, 41)
  assert.match(server.bodies[0] as string, /"n": ?12345678901234567890/)
})

test('sync --config, with the token in the file; and the same without the word sync', async () => {
  await using server = await startStitchServer()
  using folder = temporaryFolder()
  const config = { client_id: 7723, token: 'stitch-token', stitch_url: `${server.url}/v2/import/push` }
  writeFileSync(join(folder.path, 'p.json'), JSON.stringify(config))
  for (const args of [
    ['sync', '--config', 'p.json'],
    ['-c', 'p.json'],
    ['sync', '-c', 'p.json'],
  ]) {
    const done = await persist(args, { cwd: folder.path, input: singer })
    assert.deepEqual([done.code, done.stdout], [0, '{"a":1}\n'], done.stderr)
  }
  assert.equal(server.tables.rows('users').length, 1)
})

test('bare, with the environment, on transit', async () => {
  await using server = await startStitchServer()
  using folder = temporaryFolder()
  const env = { STITCH_URL: server.url, STITCH_TOKEN: 'stitch-token', STITCH_CLIENT_ID: '7723' }
  const done = await persist([], { cwd: folder.path, input: transit, env })
  assert.deepEqual([done.code, done.stdout], [0, '{"since":7}\n'], done.stderr)
  assert.deepEqual(
    { ...server.tables.rows('inboxes')[0] },
    {
      orgId: 9999,
      name: 'Stitch Support',
      id: 9999,
      createdAt: '2016-07-13T18:45:57.000Z',
    },
  )
})

test('as the parent of a streamer, whose own options are its own', async () => {
  await using server = await startStitchServer()
  using folder = temporaryFolder()
  writeFileSync(
    join(folder.path, 'streamer.mjs'),
    `process.stdout.write(${JSON.stringify(singer)}.replace('"a":1', '"args":' + JSON.stringify(process.argv.slice(2))))`,
  )
  const env = { STITCH_URL: server.url }
  const done = await persist(['-T', 'stitch-token', process.execPath, 'streamer.mjs', '-T', 'sync'], {
    cwd: folder.path,
    env,
  })
  assert.deepEqual([done.code, done.stdout], [0, '{"args":["-T","sync"]}\n'], done.stderr)
  writeFileSync(
    join(folder.path, 'streamer.mjs'),
    `process.stdout.write(${JSON.stringify(singer)}); process.exitCode = 3`,
  )
  const failed = await persist(['-T', 'stitch-token', process.execPath, 'streamer.mjs'], { cwd: folder.path, env })
  assert.equal(failed.stdout, '{"a":1}\n')
  assert.notEqual(failed.code, 0)
  assert.match(failed.stderr, /^CRITICAL .*exit code 3/m)
  const missing = await persist(['-T', 'stitch-token', 'no-such-streamer'], { cwd: folder.path, env })
  assert.match(missing.stderr, /^CRITICAL .*no-such-streamer.*PROCESS_NOT_STARTED/m)
})

test('says on a CRITICAL line why it failed, without the token; later states are withheld', async () => {
  await using server = await startStitchServer()
  using folder = temporaryFolder()
  const env = { STITCH_URL: server.url }
  const done = await persist(['-T', 'hush-hush', '-C', '1'], { cwd: folder.path, input: singer, env })
  assert.deepEqual([done.code, done.stdout], [78, ''])
  assert.match(done.stderr, /^CRITICAL .*401 for a batch of users .*Not Authorized/m)
  assert.doesNotMatch(done.stderr, /hush-hush|at .*\.ts/)
  const unset = await persist([], { cwd: folder.path, input: singer })
  assert.equal(unset.code, 78)
  assert.match(unset.stderr, /^CRITICAL .*token is missing .*STITCH_TOKEN/m)
})

test('a dry run sends nothing and prints no state; its bodies can be kept', async () => {
  await using server = await startStitchServer()
  using folder = temporaryFolder()
  const env = { STITCH_URL: server.url }
  const done = await persist(['sync', '-n', '-o', 'bodies'], { cwd: folder.path, input: singer, env })
  assert.deepEqual([done.code, done.stdout], [0, ''], done.stderr)
  assert.deepEqual(server.requests, [])
  const bodies = readFileSync(join(folder.path, 'bodies'), 'utf8').trim().split('\n')
  assert.equal(bodies.length, 1)
  assert.equal((JSON.parse(bodies[0] as string) as { table_name: string }).table_name, 'users')
  assert.ok(existsSync(executable))
})
