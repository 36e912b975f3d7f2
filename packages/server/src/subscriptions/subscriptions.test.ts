import assert from 'node:assert/strict'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setTimeout as after } from 'node:timers/promises'
import { type Position, RecordBatch } from '@millrace/engine'
import { type ErrorCode, isMillraceError, type JsonObject, silentLogger } from '@millrace/sdk'
import type { Principal } from '../domain/access.ts'
import { secureRandom } from '../domain/ids.ts'
import { openWorld, type World } from '../streams/testing/world.ts'
import type { DelivererOptions } from './deliverer.ts'
import { isSignedBy } from './signature.ts'
import { SubscriptionService } from './subscription-service.ts'
import { SubscriptionSupervisor } from './supervisor.ts'
import type { EncodePush } from './types.ts'

interface Got {
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly values: readonly string[]
}

/** A subscriber that answers as it is told, and keeps what it took. */
class Receiver implements AsyncDisposable {
  readonly all: Got[] = []
  readonly taken: string[] = []
  answer: (got: Got) => number = () => 204
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const body = Buffer.concat(chunks)
        const values = (JSON.parse(body.toString()) as { values: string[] }).values
        const got = { headers: request.headers, body, values }
        const status = this.answer(got)
        this.all.push(got)
        if (status < 300) this.taken.push(...values)
        response.writeHead(status).end()
      })
    })
  }

  static async open(): Promise<Receiver> {
    const receiver = new Receiver()
    await new Promise<void>((done) => receiver.#server.listen(0, '127.0.0.1', done))
    return receiver
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((done) => this.#server.close(done))
  }
}

const encode: EncodePush = (_stream, batches) => {
  const values = batches.flatMap((b) =>
    [...b.records.records()].map((r): unknown => JSON.parse(Buffer.from(r.body).toString())),
  )
  return Buffer.from(JSON.stringify({ values }))
}

const optionsOf = (world: World, holder: string, mayBePrivate = true): DelivererOptions => ({
  plane: world.control.subscriptions,
  service: world.service,
  holder,
  encode,
  encodeDeadLetter: (_stream, { records }, { why, tries }) =>
    Buffer.from(JSON.stringify({ why, tries, value: JSON.parse(Buffer.from(records.body(0)).toString()) })),
  // A second of waiting is five milliseconds.
  clock: {
    now: () => new Date(),
    random: () => 0,
    sleep: async (ms, signal) => await after(ms / 200, undefined, { signal }),
  },
  mayBePrivate,
  log: silentLogger,
})

const serviceOf = (world: World, changed: () => void, mayBePrivate = true): SubscriptionService =>
  new SubscriptionService({
    plane: world.control.subscriptions,
    service: world.service,
    now: () => new Date(),
    random: secureRandom,
    mayBePrivate,
    changed,
  })

const first: Position = { from: 'first' }

interface Stage extends AsyncDisposable {
  readonly world: World
  readonly owner: Principal
  readonly receiver: Receiver
  readonly subscriptions: SubscriptionService
  publish(...values: readonly string[]): Promise<void>
  supervise(holder?: string): SubscriptionSupervisor
}

/** A stream `news` with an owner, and a receiver. */
const stage = async (): Promise<Stage> => {
  const world = await openWorld()
  const owner = await world.user()
  await world.service.streams.create(owner, { name: 'news' })
  const receiver = await Receiver.open()
  const supervisors: SubscriptionSupervisor[] = []
  return {
    world,
    owner,
    receiver,
    subscriptions: serviceOf(world, () => {
      for (const one of supervisors) one.nudge()
    }),
    publish: async (...values) => {
      const records = values.map((v) => ({ body: Buffer.from(JSON.stringify(v)), key: 'k' }))
      await world.service.records.publish(owner, 'news', RecordBatch.of(records))
    },
    supervise: (holder = 'a') => {
      const one = new SubscriptionSupervisor(optionsOf(world, holder))
      supervisors.push(one)
      return one
    },
    [Symbol.asyncDispose]: async () => {
      for (const one of supervisors) await one[Symbol.asyncDispose]()
      await receiver[Symbol.asyncDispose]()
      await world[Symbol.asyncDispose]()
    },
  }
}

const eventually = async (what: string, is: () => boolean | Promise<boolean>): Promise<void> => {
  const until = Date.now() + 20_000
  while (!(await is())) {
    assert.ok(Date.now() < until, `it never came to be: ${what}`)
    await after(5)
  }
}

const code = (wanted: ErrorCode) => (e: unknown) => isMillraceError(e) && e.code === wanted
const numbers = (from: number, to: number): readonly string[] =>
  Array.from({ length: to - from }, (_, i) => String(from + i))

test('records go out signed and in order, and a manager that starts again goes on where the last one was', async () => {
  await using s = await stage()
  await s.publish('old')
  const { subscription, secret } = await s.subscriptions.create(s.owner, 'news', { url: s.receiver.url, maxRecords: 7 })
  const supervisor = s.supervise()
  await s.publish(...numbers(0, 20))
  await eventually('all are taken', () => s.receiver.taken.length >= 20)
  assert.deepEqual(s.receiver.taken, numbers(0, 20))
  for (const { headers, body, values } of s.receiver.all) {
    assert.ok(values.length <= 7)
    assert.ok(isSignedBy(secret, headers, body))
    assert.ok(!isSignedBy(secret, headers, Buffer.concat([body, Buffer.from(' ')])))
    assert.ok(!isSignedBy(secret, { ...headers, 'webhook-timestamp': '1' }, body))
  }
  await eventually(
    'the position is noted',
    async () => (await s.subscriptions.get(s.owner, 'news', subscription.id)).position === 21n,
  )
  await supervisor[Symbol.asyncDispose]()
  await s.publish(...numbers(20, 25))
  s.supervise('b')
  await eventually('the rest is taken', () => s.receiver.taken.length >= 25)
  assert.deepEqual(s.receiver.taken, numbers(0, 25))
})

test('what is not taken comes again, the same and before anything else', async () => {
  await using s = await stage()
  let refusals = 3
  s.receiver.answer = () => (refusals-- > 0 ? 503 : 200)
  await s.publish('a', 'b')
  const { subscription } = await s.subscriptions.create(s.owner, 'news', { url: s.receiver.url, from: first })
  s.supervise()
  await eventually('a try failed', async () => (await s.subscriptions.get(s.owner, 'news', subscription.id)).tries > 0)
  await s.publish('c')
  await eventually('all are taken', () => s.receiver.taken.length === 3)
  assert.deepEqual(s.receiver.taken, ['a', 'b', 'c'])
  const again = s.receiver.all.slice(0, 4)
  assert.deepEqual(
    again.map((g) => g.values),
    Array.from({ length: 4 }, () => ['a', 'b']),
  )
  assert.equal(new Set(again.map((g) => g.headers['webhook-id'])).size, 1)
})

test('a record that is refused is found among many and set aside; the others arrive in order', async () => {
  await using s = await stage()
  await s.world.service.streams.create(s.owner, { name: 'news.dead' })
  s.receiver.answer = ({ values }) => (values.includes('13') ? 422 : 200)
  await s.publish(...numbers(0, 40))
  const { subscription } = await s.subscriptions.create(s.owner, 'news', {
    url: s.receiver.url,
    from: first,
    deadLetters: 'news.dead',
  })
  s.supervise()
  await eventually('all others are taken', () => s.receiver.taken.length === 39)
  assert.deepEqual(
    s.receiver.taken,
    numbers(0, 40).filter((n) => n !== '13'),
  )
  const dead = await s.world.service.records.read(s.owner, 'news.dead', { from: first })
  const letters = dead.batches.flatMap((b) =>
    [...b.records.records()].map((r) => JSON.parse(Buffer.from(r.body).toString()) as JsonObject),
  )
  assert.deepEqual(letters, [{ why: 'answered 422', tries: 3, value: '13' }])
  assert.equal((await s.subscriptions.get(s.owner, 'news', subscription.id)).isPaused, false)
})

test('without a stream for dead letters it waits for somebody, and then goes on with nothing lost', async () => {
  await using s = await stage()
  let isBroken = true
  s.receiver.answer = () => (isBroken ? 500 : 200)
  await s.publish('a', 'b')
  const { subscription } = await s.subscriptions.create(s.owner, 'news', {
    url: s.receiver.url,
    from: first,
    maxTries: 2,
  })
  const view = async () => await s.subscriptions.get(s.owner, 'news', subscription.id)
  s.supervise()
  await eventually('it is paused', async () => (await view()).isPaused)
  assert.match((await view()).state, /paused: answered 500/)
  assert.equal((await view()).position, 0n)
  isBroken = false
  await s.subscriptions.update(s.owner, 'news', subscription.id, { isPaused: false })
  await eventually('all are taken', () => s.receiver.taken.length === 2)
})

test('a subscriber that is gone, and one who lost the right to read, get nothing more', async () => {
  await using s = await stage()
  const reader = await s.world.user()
  await s.world.service.sharing.grant(
    s.owner,
    'news',
    { actor: reader },
    { isOwner: false, isProducer: false, isConsumer: true },
  )
  s.receiver.answer = () => 410
  await s.publish('a')
  const gone = await s.subscriptions.create(s.owner, 'news', { url: s.receiver.url, from: first })
  const lost = await s.subscriptions.create(reader, 'news', { url: s.receiver.url, from: first, isPaused: true })
  await s.world.service.sharing.revoke(s.owner, 'news', reader)
  await s.subscriptions.update(s.owner, 'news', lost.subscription.id, { isPaused: false })
  s.supervise()
  const isPaused = async (id: string) => (await s.subscriptions.get(s.owner, 'news', id)).isPaused
  await eventually(
    'both are paused',
    async () => (await isPaused(gone.subscription.id)) && (await isPaused(lost.subscription.id)),
  )
  assert.equal(s.receiver.all.length, 1)
  assert.match(
    (await s.subscriptions.get(s.owner, 'news', lost.subscription.id)).state,
    /paused: .*no stream|paused: .*needs/,
  )
})

test('of several managers one delivers', async () => {
  await using s = await stage()
  await s.subscriptions.create(s.owner, 'news', { url: s.receiver.url, maxRecords: 3 })
  for (const holder of ['a', 'b', 'c']) s.supervise(holder)
  for (let i = 0; i < 10; i++) {
    await s.publish(...numbers(i * 10, i * 10 + 10))
    await after(5)
  }
  await eventually('all are taken', () => s.receiver.taken.length >= 100)
  assert.deepEqual(s.receiver.taken, numbers(0, 100))
})

test('a new secret signs beside the old one', async () => {
  await using s = await stage()
  const { subscription, secret } = await s.subscriptions.create(s.owner, 'news', { url: s.receiver.url })
  const second = await s.subscriptions.rotate(s.owner, 'news', subscription.id)
  s.supervise()
  await s.publish('a')
  await eventually('it is taken', () => s.receiver.taken.length === 1)
  const { headers, body } = s.receiver.all[0] as Got
  assert.ok(isSignedBy(secret, headers, body) && isSignedBy(second.secret, headers, body))
})

test('nobody sees a secret, nor what is of others; pushes stay on the public internet', async () => {
  await using s = await stage()
  const { subscription, secret } = await s.subscriptions.create(s.owner, 'news', { url: s.receiver.url })
  const shown = JSON.stringify([subscription, await s.subscriptions.list(s.owner, 'news')], (_, v: unknown) =>
    typeof v === 'bigint' ? Number(v) : v,
  )
  assert.ok(!shown.includes(secret) && !shown.includes('whsec_'))
  const stranger = await s.world.user()
  const reader = await s.world.user()
  await s.world.service.sharing.grant(
    s.owner,
    'news',
    { actor: reader },
    { isOwner: false, isProducer: false, isConsumer: true },
  )
  await assert.rejects(s.subscriptions.get(stranger, 'news', subscription.id), code('STREAM_UNKNOWN'))
  await assert.rejects(s.subscriptions.create(stranger, 'news', { url: s.receiver.url }), code('STREAM_UNKNOWN'))
  await assert.rejects(s.subscriptions.get(reader, 'news', subscription.id), code('SUBSCRIPTION_UNKNOWN'))
  await assert.rejects(s.subscriptions.delete(reader, 'news', subscription.id), code('SUBSCRIPTION_UNKNOWN'))
  assert.deepEqual((await s.subscriptions.list(reader, 'news')).items, [])

  const strict = serviceOf(s.world, () => {}, false)
  for (const url of ['http://example.com/', 'ftp://example.com/', 'https://user:pass@example.com/', 'nothing'])
    await assert.rejects(strict.create(s.owner, 'news', { url }), code('SUBSCRIPTION_INVALID'), url)
  await assert.rejects(
    strict.create(s.owner, 'news', { url: 'https://example.com', maxRecords: 0 }),
    code('SUBSCRIPTION_INVALID'),
  )
  await s.publish('a')
  const inside = await strict.create(s.owner, 'news', { url: s.receiver.url.replace('http:', 'https:'), from: first })
  const named = await strict.create(s.owner, 'news', { url: 'https://localhost/', from: first })
  await using supervisor = new SubscriptionSupervisor(optionsOf(s.world, 'strict', false))
  supervisor.nudge()
  for (const {
    subscription: { id },
  } of [inside, named])
    await eventually('it is refused', async () =>
      /no address of the public internet/.test((await s.subscriptions.get(s.owner, 'news', id)).state),
    )
  assert.equal(s.receiver.all.length, 0)
})
