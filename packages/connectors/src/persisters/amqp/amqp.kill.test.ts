/** A broker of our own: it is ended in mid-run, holds everything up, speaks TLS, and knows users who may not do much. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import {
  describeError,
  isMillraceError,
  type JsonObject,
  type MillraceError,
  resolveConfig,
  runPersister,
  silentLogger,
} from '@millrace/sdk'
import { freePort, startBroker } from '@millrace/sdk/testing'
import { serverAt } from '../../testing/services/rabbitmq.ts'
import { amqp } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-amqp-'))
const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
execFileSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' })
const tlsPort = await freePort()
const largest = 1_000_000
const broker = await startBroker([
  `listeners.ssl.1 = 127.0.0.1:${tlsPort}`,
  ...[`cacertfile = ${cert}`, `certfile = ${cert}`, `keyfile = ${key}`, 'verify = verify_none'].map(
    (line) => `ssl_options.${line}`,
  ),
  `max_message_size = ${largest}`,
])

const schema =
  '{"type":"SCHEMA","stream":"things","schema":{"type":"object","properties":{"id":{"type":"integer"}}},"key_properties":["id"]}\n'
const things = (from: number, to: number, text = ''): string =>
  Array.from(
    { length: to - from },
    (_, i) => `{"type":"RECORD","stream":"things","record":{"id":${from + i},"t":"${text}"}}\n`,
  ).join('')
const state = (n: number): string => `{"type":"STATE","value":${n}}\n`

interface Ran {
  readonly states: readonly string[]
  readonly error: MillraceError | undefined
}
const run = async (
  settings: JsonObject,
  input: Iterable<string> | AsyncIterable<string>,
  flushRecords = 1,
): Promise<Ran> => {
  const states: string[] = []
  let error: MillraceError | undefined
  const file = { url: broker.url, retryMs: 100, tries: 12, ...settings }
  await runPersister(amqp, {
    config: resolveConfig(amqp.config, { kind: 'persister', name: 'amqp', file, strict: true }).config,
    input: (async function* () {
      for await (const piece of input) yield Buffer.from(piece)
    })(),
    log: silentLogger,
    signal: new AbortController().signal,
    flushRecords,
    writeState: (line) => {
      states.push(line.trim())
    },
  }).catch((e: unknown) => {
    if (!isMillraceError(e)) throw e
    assert.doesNotMatch(describeError(e), /s3cr3t/)
    error = e
  })
  return { states, error }
}

describe('amqp into a broker that goes away or says no', { skip: broker.skip }, () => {
  if (broker.skip !== false) return
  const rabbit = serverAt(broker)
  // Of what the broker was told less than two seconds before it is killed it may know nothing any more: this one is made early.
  const lasting = rabbit.queue()
  after(async () => {
    await rabbit[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })

  test('a broker that takes nothing holds the source up, and ends the run with its own reason or goes on when it takes again', {
    timeout: 60_000,
  }, async () => {
    const queue = await rabbit.queue()
    await broker.control('set_vm_memory_high_watermark', '0')
    const { states, error } = await run({ queue, timeoutSeconds: 1, tries: 1 }, [schema, things(0, 3), state(1)])
    assert.deepEqual([states, error?.code, error?.exitCode], [[], 'DESTINATION_UNAVAILABLE', 69])
    assert.match(error?.message ?? '', /nothing was confirmed for 1 seconds; it takes nothing at the moment: .*memory/)

    const [records, bytes] = [120, 500_000]
    let pulled = 0
    let isFree = false
    const input = async function* (): AsyncGenerator<string> {
      yield schema
      for (; pulled < records; pulled++) {
        if (!isFree && pulled * bytes > 40 * 1024 * 1024) throw new Error('it takes without a bound')
        yield things(pulled, pulled + 1, 'x'.repeat(bytes))
      }
      yield state(records)
    }
    const running = run({ queue, timeoutSeconds: 60 }, input(), records)
    let seen = -1
    while (seen !== pulled) {
      seen = pulled
      await new Promise((later) => setTimeout(later, 500))
    }
    assert.ok(pulled < records && pulled * bytes > 8 * 1024 * 1024, `it took ${pulled} records`)
    isFree = true
    await broker.control('set_vm_memory_high_watermark', '0.4')
    assert.deepEqual(await running, { states: [String(records)], error: undefined })
    assert.ok((await rabbit.client.queueDeclare({ queue, passive: true })).messageCount >= records)
  })

  test('a record that is larger than the broker takes is told as such', async () => {
    const queue = await rabbit.queue()
    const { states, error } = await run({ queue }, [schema, things(0, 1, 'x'.repeat(largest)), state(1)])
    assert.deepEqual([states, error?.code, error?.exitCode], [[], 'DESTINATION_REFUSED', 78])
    assert.match(error === undefined ? '' : describeError(error), /larger than .*Raise max_message_size/s)
  })

  test('over TLS only a broker that somebody known vouches for is spoken to', async () => {
    const queue = await rabbit.queue()
    const input = [schema, things(0, 3), state(1)]
    const at = (host: string): string => `amqps://guest:guest@${host}:${tlsPort}`
    assert.deepEqual((await run({ url: at('localhost'), queue, caFile: cert }, input)).states, ['1'])
    for (const [settings, words] of [
      [{ url: at('localhost') }, /its certificate is signed by itself/],
      [{ url: at('127.0.0.1'), caFile: cert }, /its certificate is for another host/],
      [{ url: at('localhost'), caFile: key }, /holds no certificate in PEM/],
    ] as const) {
      const { states, error } = await run({ ...settings, queue }, input)
      assert.deepEqual([states, error?.exitCode, error?.retry], [[], 78, 'after-fix'])
      assert.match(error?.message ?? '', words)
    }
  })

  test('a user who may not write there is told so, at once', async () => {
    const queue = await rabbit.queue()
    await broker.control('add_user', 'reader', 's3cr3t')
    await broker.control('set_permissions', 'reader', '', '', '.*')
    const url = broker.url.replace('guest:guest', 'reader:s3cr3t')
    for (const settings of [{ queue }, { queue: rabbit.name(), declare: true }]) {
      const { states, error } = await run({ ...settings, url }, [schema, things(0, 3), state(1)])
      assert.deepEqual([states, error?.code, error?.exitCode], [[], 'DESTINATION_REFUSED', 78])
      assert.match(error?.message ?? '', /access to .* refused for user 'reader'/)
    }
  })

  test('the broker is killed and begun again in mid-run: nothing is lost', { timeout: 120_000 }, async () => {
    const queue = await lasting
    const [records, each] = [6_000, 500]
    const killed = Promise.withResolvers<void>()
    let isBack: Promise<void> | undefined
    const input = async function* (): AsyncGenerator<string> {
      yield schema
      for (let from = 0; from < records; from += each) {
        yield things(from, from + each, 'x'.repeat(200)) + state(from + each)
        // What is under way now is not confirmed when the broker ends.
        if (from === 2_000) {
          isBack = broker.kill().then(() => {
            killed.resolve()
            return broker.start()
          })
          await killed.promise
        }
      }
    }
    const { states, error } = await run({ queue }, input())
    await isBack
    assert.deepEqual([error, states.at(-1)], [undefined, String(records)])
    const ids = (await rabbit.drain(queue)).map((m) => (JSON.parse(m.body.toString()) as { id: number }).id)
    assert.equal(new Set(ids).size, records)
    // What comes twice comes behind the records that it repeats.
    const firsts = [...new Set(ids)]
    assert.deepEqual(
      firsts,
      firsts.toSorted((a, b) => a - b),
    )
  })
})
