import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { readEvents, type StreamEvent } from '@millrace/sdk/manager'
import { WebSocket } from 'ws'
import { type TestManager, testManager } from '../testing/manager.ts'

const body = (n: number): string => JSON.stringify({ n, filler: 'x'.repeat(1000) })

describe('following a stream', () => {
  let manager: TestManager
  let streams = 0
  const stream = async (records = 0): Promise<string> => {
    const name = `s${streams++}`
    await manager.good('POST', '/api/v1/streams', { name })
    if (records > 0) await publish(name, 0, records)
    return name
  }
  const publish = async (name: string, from: number, to: number): Promise<void> => {
    const lines = Array.from({ length: to - from }, (_, i) => `${body(from + i)}\n`).join('')
    const { status, text } = await manager.ask('POST', `/api/v1/streams/${name}/records`, {
      body: lines,
      headers: { 'content-type': 'application/x-ndjson' },
    })
    assert.equal(status, 201, text)
  }
  const follow = async (name: string, query = '', headers: Readonly<Record<string, string>> = {}) => {
    const end = new AbortController()
    const response = await fetch(`${manager.url}/api/v1/streams/${name}/follow${query}`, {
      headers: { authorization: `Bearer ${manager.token}`, ...headers },
      signal: end.signal,
    })
    assert.equal(response.status, 200)
    const events = readEvents(response.body as unknown as AsyncIterable<Uint8Array>)
    return {
      // Held: a response that nobody holds is ended when memory is cleaned.
      response,
      end: () => end.abort(),
      /** Reads until there are so many. */
      take: async (count: number): Promise<readonly StreamEvent[]> => {
        const got: StreamEvent[] = []
        while (got.length < count) {
          got.push(...((await events.next()).value ?? assert.fail('it ended')))
          const problem = got.find((e) => e.type === 'problem')
          assert.equal(problem, undefined, problem?.data)
        }
        return got
      },
    }
  }
  const followers = async (): Promise<number> =>
    Number(/^millrace_followers (\d+)$/m.exec((await manager.ask('GET', '/metrics')).text)?.[1])
  const offsets = (events: readonly StreamEvent[]): readonly number[] => events.map((e) => Number(e.id))
  const range = (from: number, to: number): readonly number[] => Array.from({ length: to - from }, (_, i) => from + i)

  before(async () => {
    manager = await testManager()
  })
  after(async () => await manager[Symbol.asyncDispose]())

  it('gives what is there and what comes, each once, in order, with the offset as id', async () => {
    const name = await stream(2000)
    const reader = await follow(name, '?from=first&form=body')
    const [first] = await Promise.all([
      reader.take(5000),
      (async () => {
        for (let n = 2000; n < 5000; n += 100) await publish(name, n, n + 100)
      })(),
    ])
    assert.deepEqual(offsets(first), range(0, 5000))
    assert.deepEqual(
      first.map((e) => e.data),
      range(0, 5000).map(body),
    )
    reader.end()
    const again = await follow(name, '', { 'last-event-id': '4989' })
    assert.deepEqual(offsets(await again.take(10)), range(4990, 5000))
    again.end()
  })

  it('gives every follower the same, those that came late or from elsewhere too', async () => {
    const name = await stream(50)
    const readers = await Promise.all(
      [
        '?from=first',
        '?from=next',
        '?from=last:10',
        '?from=offset:25',
        ...Array.from({ length: 50 }, () => '?from=next'),
      ].map(async (query) => await follow(name, query)),
    )
    const late = (async () => {
      for (let n = 50; n < 250; n += 10) await publish(name, n, n + 10)
    })()
    const from = [0, 50, 40, 25, ...Array.from({ length: 50 }, () => 50)]
    for (const [i, reader] of readers.entries())
      assert.deepEqual(offsets(await reader.take(250 - (from[i] as number))), range(from[i] as number, 250))
    await late
    for (const reader of readers) reader.end()
  })

  it('holds little for followers that do not read, and gives them all when they do', { timeout: 120_000 }, async () => {
    const name = await stream()
    const { port } = new URL(manager.url)
    const sockets: Socket[] = []
    const alreadyThere = await followers()
    for (let i = 0; i < 20; i++) {
      const socket = connect(Number(port), '127.0.0.1')
      socket.pause()
      socket.write(
        `GET /api/v1/streams/${name}/follow?from=first&form=body HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${manager.token}\r\n\r\n`,
      )
      sockets.push(socket)
    }
    while ((await followers()) < alreadyThere + 20) await new Promise(setImmediate)
    const before = process.memoryUsage.rss()
    // 60 MB for each of twenty that take nothing.
    for (let n = 0; n < 60_000; n += 2000) await publish(name, n, n + 2000)
    const grown = (process.memoryUsage.rss() - before) / 2 ** 20
    assert.ok(grown < 400, `${Math.round(grown)} MiB more`)
    const [one, ...others] = sockets as [Socket, ...Socket[]]
    for (const other of others) other.destroy()
    let seen = 0
    let rest = ''
    one.setEncoding('utf8')
    for await (const chunk of one) {
      const lines = (rest + (chunk as string)).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) if (line.startsWith('id: ')) assert.equal(line, `id: ${seen++}`)
      if (seen === 60_000) break
    }
    assert.equal(seen, 60_000)
    one.destroy()
  })

  it('speaks WebSocket on the same path', async () => {
    const name = await stream(3)
    const url = `${manager.url.replace('http', 'ws')}/api/v1/streams/${name}/follow?from=first`
    const socket = new WebSocket(url, { headers: { authorization: `Bearer ${manager.token}` } })
    const [message] = (await once(socket, 'message')) as [Buffer]
    const said = JSON.parse(message.toString()) as {
      readonly records: readonly { readonly value: { readonly n: number } }[]
      readonly next: number
    }
    assert.deepEqual([said.records.map((r) => r.value.n), said.next], [[0, 1, 2], 3])
    const coming = once(socket, 'message')
    await publish(name, 3, 4)
    assert.match(String((await coming)[0]), /"n":3,/)
    socket.close()
    for (const [headers, status] of [
      [{}, 401],
      [{ authorization: 'Bearer x' }, 401],
      [{ authorization: `Bearer ${(await manager.client('stranger')).token}` }, 404],
    ] as const) {
      const refused = new WebSocket(url, { headers })
      refused.on('error', () => {})
      const [, response] = (await once(refused, 'unexpected-response')) as [unknown, { readonly statusCode: number }]
      assert.equal(response.statusCode, status)
    }
  })

  // What was published after a right was taken away reached whoever had it, up to ten seconds long.
  it('sends nothing that comes after a right, a token or a client was taken away', async () => {
    const name = await stream()
    const permissions = `/api/v1/streams/${name}/permissions`
    const follower = async (as: 'events' | 'socket', client: { readonly id: string; readonly token: string }) => {
      await manager.good('POST', permissions, { actor: { type: 'client', id: client.id }, isConsumer: true })
      const path = `/api/v1/streams/${name}/follow`
      const headers = { authorization: `Bearer ${client.token}` }
      if (as === 'events') {
        const response = await fetch(manager.url + path, { headers })
        return { said: response.text() }
      }
      const socket = new WebSocket(manager.url.replace('http', 'ws') + path, { headers })
      let said = ''
      socket.on('message', (data: Buffer) => {
        said += data.toString()
      })
      const closed = once(socket, 'close')
      await once(socket, 'open')
      return { said: closed.then(() => said) }
    }
    const ways: readonly ((c: { readonly id: string; readonly token: string }) => Promise<unknown>)[] = [
      async ({ id }) => await manager.good('DELETE', `${permissions}/client/${id}`),
      async ({ id }) => await manager.good('POST', permissions, { actor: { type: 'client', id }, isProducer: true }),
      async ({ id }) => await manager.good('POST', `/api/v1/clients/${id}/revoke`),
      async ({ token }) => await manager.ask('POST', '/api/v1/oauth/revoke', { token }),
    ]
    for (const [i, takeAway] of ways.entries())
      for (const as of ['events', 'socket'] as const) {
        const client = await manager.client(`${as} ${i}`)
        const { said } = await follower(as, client)
        await manager.good('POST', `/api/v1/streams/${name}/records`, { n: 'before' })
        await takeAway(client)
        await manager.good('POST', `/api/v1/streams/${name}/records`, { n: 'too late' })
        const text = await said
        assert.match(text, /problem/, `${as}, way ${i}`)
        assert.doesNotMatch(text, /too late/, `${as}, way ${i}`)
      }
  })

  it('ends with a problem when the right is taken away, or the stream', async () => {
    const short = await testManager({ heartbeatMs: 50 })
    try {
      const { id, token } = await short.client('reader')
      await short.good('POST', '/api/v1/streams', { name: 's' })
      const permissions = '/api/v1/streams/s/permissions'
      await short.good('POST', permissions, { actor: { type: 'client', id }, isConsumer: true })
      const read = async (t: string) => {
        const response = await fetch(`${short.url}/api/v1/streams/s/follow`, {
          headers: { authorization: `Bearer ${t}` },
        })
        assert.equal(response.status, 200)
        const said = (async () => {
          for await (const events of readEvents(response.body as unknown as AsyncIterable<Uint8Array>))
            for (const e of events)
              if (e.type === 'problem') return (JSON.parse(e.data) as { readonly code: string }).code
          return 'it just ended'
        })()
        return { said }
      }
      const reader = await read(token)
      await short.good('DELETE', `${permissions}/client/${id}`)
      assert.equal(await reader.said, 'STREAM_UNKNOWN')
      const owner = await read(short.token)
      await short.good('DELETE', '/api/v1/streams/s')
      assert.equal(await owner.said, 'STREAM_UNKNOWN')
    } finally {
      await short[Symbol.asyncDispose]()
    }
  })
})
