/** A manager with as many streams and followers as somebody may have. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type TestManager, testManager } from './testing/manager.ts'

const mib = 2 ** 20

/** Asks many times over few connections, so many at once. */
const each = async (count: number, atOnce: number, one: (i: number) => Promise<void>): Promise<void> => {
  let next = 0
  const work = async (): Promise<void> => {
    while (next < count) await one(next++)
  }
  await Promise.all(Array.from({ length: atOnce }, work))
}

describe('a manager', () => {
  it('has 10,000 streams: made, listed page by page, written and read, in little memory', {
    timeout: 120_000,
  }, async () => {
    // Each is made in two files and flushed three times: in memory, where that is to be had.
    const memory = '/dev/shm'
    const folder = mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), 'millrace-many-'))
    await using manager = await testManager({}, folder)
    using connections = new DisposableStack()
    const agent = connections.adopt(new Agent({ keepAlive: true, maxSockets: 64 }), (a) => a.destroy())
    const post = async (path: string, body: string): Promise<void> =>
      await new Promise((resolve, reject) => {
        const headers = { authorization: `Bearer ${manager.token}`, 'content-type': 'application/json' }
        const asked = request(manager.url + path, { method: 'POST', agent, headers }, (response) => {
          response.resume().once('end', () => {
            if (response.statusCode === 201) resolve()
            else reject(new Error(`${path}: ${response.statusCode}`))
          })
        })
        asked.once('error', reject).end(body)
      })
    const count = 10_000
    const name = (i: number): string => `s${String(i).padStart(5, '0')}`
    await post('/api/v1/streams', '{"name":"first"}')
    const before = process.memoryUsage.rss()
    await each(count, 64, async (i) => await post('/api/v1/streams', `{"name":"${name(i)}"}`))
    // More than are kept open at a time.
    await each(600, 64, async (i) => await post(`/api/v1/streams/${name(i * 16)}/records`, `{"n":${i}}`))
    const names: string[] = []
    for (let after = ''; ; ) {
      const page = await manager.good<{ readonly items: readonly { readonly name: string }[]; readonly next: string }>(
        'GET',
        `/api/v1/streams?limit=1000&prefix=s${after === '' ? '' : `&after=${encodeURIComponent(after)}`}`,
      )
      names.push(...page.items.map((s) => s.name))
      if (page.next === null) break
      after = page.next
    }
    assert.equal(names.length, count)
    assert.ok(names.every((one, i) => one === name(i)))
    for (const i of [0, 299, 599])
      assert.match((await manager.ask('GET', `/api/v1/streams/${name(i * 16)}/records`)).text, new RegExp(`"n":${i}}`))
    const grown = (process.memoryUsage.rss() - before) / mib
    assert.ok(grown < 250, `${Math.round(grown)} MiB more`)
  })

  it('has 1,000 followers of a stream: each is given all, in order, whoever among them is slow or dies', {
    timeout: 120_000,
  }, async () => {
    await using manager = await testManager({ followerBytes: 64 * 1024 })
    await manager.good('POST', '/api/v1/streams', { name: 's' })
    using sockets = new DisposableStack()
    const followers = Array.from({ length: 1_000 }, (_, i) => new Follower(manager, i, sockets))
    const following = async (): Promise<number> =>
      Number(/^millrace_followers (\d+)$/m.exec((await manager.ask('GET', '/metrics')).text)?.[1])
    while ((await following()) < 1_000) await new Promise((later) => setTimeout(later, 20))
    const [dying, slow, quick] = [followers.slice(0, 100), followers.slice(100, 200), followers.slice(200)]
    // They take nothing for now, and what waits for each has a limit.
    for (const one of slow) one.socket.pause()
    const before = process.memoryUsage.rss()
    const count = 300
    for (let n = 0; n < count; n += 50) {
      const lines = Array.from({ length: 50 }, (_, i) => `{"n":${n + i},"filler":"${'x'.repeat(1_000)}"}\n`).join('')
      const headers = { 'content-type': 'application/x-ndjson' }
      const { status } = await manager.ask('POST', '/api/v1/streams/s/records', { body: lines, headers })
      assert.equal(status, 201)
      for (const one of dying.slice(n / 3, n / 3 + 17)) one.socket.resetAndDestroy()
    }
    await Promise.all(quick.map(async (one) => await one.has(count)))
    const grown = (process.memoryUsage.rss() - before) / mib
    // 1,000 × 300 KB went out.
    assert.ok(grown < 250, `${Math.round(grown)} MiB more`)
    for (const one of slow) one.socket.resume()
    await Promise.all(slow.map(async (one) => await one.has(count)))
    for (const one of [...quick, ...slow]) assert.equal(one.fault, undefined)
    for (const one of dying) one.socket.destroy()
    while ((await following()) > 900) await new Promise((later) => setTimeout(later, 20))
  })
})

/** Somebody who follows from the first record on, and looks whether offsets come one after the other. */
class Follower {
  readonly socket: Socket
  fault: string | undefined
  #seen = 0
  #rest = ''
  #wake: () => void = () => {}

  constructor(manager: TestManager, i: number, sockets: DisposableStack) {
    this.socket = sockets.adopt(connect(Number(new URL(manager.url).port), '127.0.0.1'), (s) => s.destroy())
    this.socket.on('error', () => {})
    this.socket.write(
      `GET /api/v1/streams/s/follow?from=first&form=body HTTP/1.1\r\nhost: f${i}\r\nauthorization: Bearer ${manager.token}\r\n\r\n`,
    )
    this.socket.on('data', (chunk: Buffer) => this.#take(chunk.toString('latin1')))
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines)
      if (line.startsWith('id: ')) {
        if (line !== `id: ${this.#seen}`) this.fault ??= `${line} where ${this.#seen} was next`
        this.#seen++
      }
    this.#wake()
  }

  /** Resolves when so many came. */
  async has(count: number): Promise<void> {
    while (this.#seen < count)
      await new Promise<void>((wake) => {
        this.#wake = wake
      })
  }
}
