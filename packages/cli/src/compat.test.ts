/** `tap-streamduo`, `target-streamduo` and `persist-stitch` against a manager, as their users call them. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type JsonObject, parseExact, silentLogger } from '@millrace/sdk'
import { type Manager, readManagerNote, startManager } from '@millrace/server'
import { collected, type Ended, millrace, temporaryFolder } from './fixtures/program.ts'

const folder = temporaryFolder()
let manager: Manager
before(async () => {
  manager = await startManager({ projectDir: folder.path, listen: '127.0.0.1:0', version: '0.0.0', log: silentLogger })
})
after(async () => {
  await manager.close()
  folder[Symbol.dispose]()
})

const program = async (
  name: string,
  args: readonly string[],
  { input, env = {} }: { readonly input?: string; readonly env?: Record<string, string> } = {},
): Promise<Ended> => {
  const bin = fileURLToPath(new URL(`../bin/${name}.mjs`, import.meta.url))
  const child = spawn(process.execPath, [bin, ...args], {
    cwd: folder.path,
    env: { PATH: process.env['PATH'], ...env },
  })
  child.stdin.on('error', () => {})
  child.stdin.end(input ?? '')
  return await collected(child)
}

const api = async <T>(method: string, path: string, body: unknown): Promise<T> => {
  const response = await fetch(`${manager.url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${readManagerNote(folder.path)?.token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  assert.ok(response.ok, `${method} ${path}: ${response.status}`)
  return (response.status === 204 ? undefined : await response.json()) as T
}

interface Stream {
  readonly name: string
  readonly client: string
  readonly secret: string
}
/** A stream, and a client that may write and read it. */
const streamFor = async (name: string, contentType = 'application/json'): Promise<Stream> => {
  await api('POST', '/streams', { name, contentType })
  const { client, secret } = await api<{ readonly client: { readonly id: string }; readonly secret: string }>(
    'POST',
    '/clients',
    {
      displayName: name,
    },
  )
  await api('POST', `/streams/${name}/permissions`, {
    actor: { type: 'client', id: client.id },
    isProducer: true,
    isConsumer: true,
  })
  return { name, client: client.id, secret }
}

const linesOf = (text: string): readonly string[] => text.split('\n').filter((line) => line !== '')

describe('tap-streamduo and target-streamduo', () => {
  it('write and read a stream with the configuration that they had; the next run marks what was stored', async () => {
    const { name, client, secret } = await streamFor('cars')
    const config = join(folder.path, 'config.json')
    writeFileSync(config, JSON.stringify({ streamId: name, clientId: client, clientSecret: secret }))
    const env = { STREAMDUO_SDK_URL: `${manager.url}/streamduo` }
    const schema =
      '{"type":"SCHEMA","stream":"cars","schema":{"properties":{"n":{"type":"number"}}},"key_properties":[]}\n'
    const record = (n: string): string => `{"type":"RECORD","stream":"cars","record":{"n":${n}}}\n`
    const input = `${schema}${record('12345678901234567890.123')}${record('2')}{"type":"STATE","value":{"at":2}}\n`
    const written = await program('target-streamduo', ['-c', config], { input, env })
    assert.deepEqual([written.code, written.stdout], [0, '{"at":2}\n'], written.stderr)

    const tap = async (
      ...args: readonly string[]
    ): Promise<{ readonly payloads: readonly string[]; readonly state: string }> => {
      const read = await program('tap-streamduo', ['-c', config, ...args], { env })
      assert.equal(read.code, 0, read.stderr)
      const lines = linesOf(read.stdout)
      const state = parseExact(
        lines.filter((line) => line.startsWith('{"type":"STATE"')).at(-1) as string,
      ) as JsonObject
      return {
        payloads: lines
          .filter((line) => line.startsWith('{"type":"RECORD"'))
          .map((line) => /"dataPayload":(.*?\})/.exec(line)?.[1] ?? ''),
        state: JSON.stringify(state['value']),
      }
    }
    const both = ['{"n":12345678901234567890.123}', '{"n":2}']
    const first = await tap()
    assert.deepEqual(first.payloads, both)
    // Nobody stored them, as far as anybody knows.
    assert.deepEqual((await tap()).payloads, both)
    writeFileSync(join(folder.path, 'state.json'), first.state)
    const second = await tap('--state', join(folder.path, 'state.json'))
    assert.deepEqual(second.payloads, [])
    assert.deepEqual((await tap()).payloads, [])
    const discovered = await program('tap-streamduo', ['-c', config, '--discover'], { env })
    assert.match(discovered.stdout, /"tap_stream_id": ?"records"/)
  })

  it('in a pipeline: what a run stored, the next one marks', async () => {
    const { name, client, secret } = await streamFor('orders')
    writeFileSync(
      join(folder.path, 'millrace.yaml'),
      `version: 1
pipelines:
  orders:
    from: {streamer: streamduo, config: {streamId: ${name}, clientId: ${client}, clientSecret: ${secret}, url: "${manager.url}/streamduo"}}
    to: {persister: jsonl, config: {path: out}}
`,
    )
    const publish = async (...bodies: readonly string[]): Promise<void> => {
      const done = await millrace(['publish', name], { cwd: folder.path, input: bodies.map((b) => `${b}\n`).join('') })
      assert.equal(done.code, 0, done.stderr)
    }
    const unread = async (): Promise<number> =>
      linesOf((await millrace(['consume', name, '--unread', '--shared'], { cwd: folder.path })).stdout).length
    await publish('{"id":1}', '{"id":2}')
    const run = async (): Promise<void> => {
      const ran = await millrace(['run', 'orders'], { cwd: folder.path })
      assert.equal(ran.code, 0, ran.stderr)
    }
    await run()
    assert.equal(await unread(), 2)
    await publish('{"id":3}')
    await run()
    assert.equal(await unread(), 1)
    const stored = linesOf(readFileSync(join(folder.path, 'out', 'records.jsonl'), 'utf8'))
    assert.deepEqual(
      stored.map((line) => /"dataPayload":(\{.*?\})/.exec(line)?.[1]),
      ['{"id":1}', '{"id":2}', '{"id":3}'],
    )
  })
})

describe('persist-stitch', () => {
  it('loads a stream, which any persister drains: keys, versions and digits travel', async () => {
    const { name, client, secret } = await streamFor('crm', 'application/vnd.millrace.messages+json')
    const env = {
      STITCH_URL: `${manager.url}/stitch/${name}`,
      STITCH_TOKEN: `${client}.${secret}`,
      STITCH_CLIENT_ID: '7723',
    }
    const schema =
      '{"type":"SCHEMA","stream":"customers","schema":{"type":"object","properties":{"id":{"type":"integer"},"n":{"type":"number"}}},"key_properties":["id"]}\n'
    const record = (id: number, n: string): string =>
      `{"type":"RECORD","stream":"customers","record":{"id":${id},"n":${n}}}\n`
    const input = `${schema}${record(1, '1.5')}${record(2, '12345678901234567890.123')}${record(1, '7')}{"type":"STATE","value":9}\n`
    const sent = await program('persist-stitch', [], { input, env })
    assert.deepEqual([sent.code, sent.stdout], [0, '9\n'], sent.stderr)
    const kept = await millrace(['consume', name], { cwd: folder.path })
    assert.match(kept.stdout, /^\{"type":"SCHEMA","stream":"customers".*"key_properties":\["id"\]\}\n/)
    writeFileSync(
      join(folder.path, 'millrace.yaml'),
      `version: 1
pipelines:
  crm:
    from: {streamer: stream, config: {stream: ${name}}}
    to: {persister: sqlite, config: {path: crm.db}}
`,
    )
    const drained = await millrace(['run', 'crm'], { cwd: folder.path })
    assert.equal(drained.code, 0, drained.stderr)
    const rows = await millrace(['query', 'crm.db', 'select id, n from customers order by id', '--json'], {
      cwd: folder.path,
    })
    assert.match(rows.stdout, /"id": "1",\s*"n": "7"/)
    assert.match(rows.stdout, /12345678901234567890\.123/)
  })

  it('says what the manager says to a wrong token, without showing it', async () => {
    const { name, client } = await streamFor('refused')
    const env = { STITCH_URL: `${manager.url}/stitch/${name}`, STITCH_CLIENT_ID: '7723' }
    const input =
      '{"type":"SCHEMA","stream":"t","schema":{"properties":{"id":{"type":"integer"}}},"key_properties":["id"]}\n{"type":"RECORD","stream":"t","record":{"id":1}}\n'
    const wrong = await program('persist-stitch', ['-T', `${client}.wrong-one`], { input, env })
    assert.equal(wrong.code, 78)
    assert.match(wrong.stderr, /Not Authorized/)
    assert.doesNotMatch(wrong.stderr, /wrong-one/)
  })
})
