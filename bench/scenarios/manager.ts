/** The manager over HTTP: publishing in bodies of lines and one by one, following alone and in a crowd, and its start. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { readEvents } from '@millrace/sdk/manager'
import { readManagerNote } from '@millrace/server'
import { bin } from '../data.ts'
import type { DataFiles, Sample, Scenario, Subject } from '../harness.ts'

interface Running {
  readonly url: string
  readonly token: string
  readonly child: ChildProcess
  readonly readyMs: number
}

const start = async (data: DataFiles): Promise<Running> => {
  const dir = mkdtempSync(join(data.dir, 'manager-'))
  const begun = performance.now()
  const child = spawn(process.execPath, [bin, 'up', '--listen', '127.0.0.1:0', '--json', '--quiet'], {
    cwd: dir,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise<void>((ready, failed) => {
    child.stdout?.once('data', () => ready())
    child.once('close', () => failed(new Error('the manager did not start')))
  })
  const readyMs = performance.now() - begun
  const { url, token } = readManagerNote(dir) ?? { url: '', token: '' }
  return { url, token, child, readyMs }
}

/** User and system time of a process so far, and its peak of memory. */
const usage = (pid: number): { readonly cpuSeconds: number; readonly maxRssMiB: number } => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return { cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100, maxRssMiB: Number(peak) / 1024 }
}

const stop = async ({ child }: Running): Promise<void> => {
  const ended = new Promise((done) => child.once('close', done))
  child.kill('SIGTERM')
  await ended
}

/** A subject on a manager of its own: `work` answers how many records it moved, in how many seconds where that is not the time it took. */
const onManager = (
  name: string,
  work: (manager: Running, data: DataFiles) => Promise<number | Pick<Sample, 'records' | 'seconds'>>,
): Subject => ({
  name,
  sample: async (data) => {
    const manager = await start(data)
    try {
      await send(manager, 'POST', '/api/v1/streams', '{"name":"s"}')
      const before = usage(manager.child.pid as number)
      const begun = performance.now()
      const done = await work(manager, data)
      const seconds = (performance.now() - begun) / 1000
      const after = usage(manager.child.pid as number)
      const counted = typeof done === 'number' ? { records: done, seconds } : done
      return { ...counted, cpuSeconds: after.cpuSeconds - before.cpuSeconds, maxRssMiB: after.maxRssMiB }
    } finally {
      await stop(manager)
    }
  },
})

const agent = new Agent({ keepAlive: true, maxSockets: 64 })
const send = async (
  { url, token }: Running,
  method: string,
  path: string,
  body?: string | Buffer,
  type = 'application/json',
): Promise<string> => {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': type }) }
    const asked = request(url + path, { method, agent, headers }, resolve)
    asked.on('error', reject)
    asked.end(body)
  })
  let text = ''
  response.setEncoding('utf8')
  for await (const chunk of response) text += chunk as string
  if ((response.statusCode ?? 500) >= 300) throw new Error(`${method} ${path}: ${response.statusCode} ${text}`)
  return text
}

const record = JSON.stringify({
  id: 12_345,
  customer: 'Ann Müller',
  note: 'x'.repeat(220),
  amount: 12.5,
  tags: ['a', 'b'],
})

const lines = onManager('HTTP publish, JSON lines, one connection', async (manager, data) => {
  const block = Buffer.from(`${record}\n`.repeat(250))
  const blocks = Math.ceil(data.records / 250)
  await new Promise<void>((resolve, reject) => {
    const asked = request(
      `${manager.url}/api/v1/streams/s/records`,
      { method: 'POST', headers: { authorization: `Bearer ${manager.token}`, 'content-type': 'application/x-ndjson' } },
      (response) => {
        response.resume()
        response.on('end', () =>
          response.statusCode === 201 ? resolve() : reject(new Error(`${response.statusCode}`)),
        )
      },
    )
    asked.on('error', reject)
    let i = 0
    const more = (): void => {
      while (i < blocks) {
        i++
        if (!asked.write(block)) return void asked.once('drain', more)
      }
      asked.end()
    }
    more()
  })
  return blocks * 250
})

const inTurns = async (count: number, connections: number, one: () => Promise<unknown>): Promise<number> => {
  let left = count
  const work = async (): Promise<void> => {
    while (left-- > 0) await one()
  }
  await Promise.all(Array.from({ length: connections }, work))
  return count
}
const requests = (data: DataFiles): number => Math.min(20_000, Math.ceil(data.records / 10))
const empty = onManager('HTTP, an empty route, 64 connections', async (manager, data) =>
  inTurns(requests(data), 64, () => send(manager, 'GET', '/health')),
)
const singles = onManager('HTTP publish, one record a request, 64 connections', async (manager, data) =>
  inTurns(requests(data), 64, () => send(manager, 'POST', '/api/v1/streams/s/records', record)),
)

/** Records before those that are measured: a manager that has just started has not compiled what it runs yet. */
const warming = 2_000
/** Records whose delay is measured, one each millisecond. */
const paced = 3_000

/** Publishes a record a millisecond and follows; answers the delays of all but the first, sorted. */
const delays = async (manager: Running): Promise<readonly number[]> => {
  const response = await fetch(`${manager.url}/api/v1/streams/s/follow?form=body`, {
    headers: { authorization: `Bearer ${manager.token}` },
  })
  const sentAt: number[] = []
  const out: number[] = []
  const following = (async () => {
    for await (const events of readEvents(response.body as unknown as AsyncIterable<Uint8Array>)) {
      const now = performance.now()
      for (const { data } of events)
        out.push(now - (sentAt[Number((JSON.parse(data) as { readonly n: number }).n)] as number))
      if (out.length >= warming + paced) return
    }
  })()
  const publishing: Promise<unknown>[] = []
  const begun = performance.now()
  for (let n = 0; n < warming + paced; ) {
    for (; n < warming + paced && n <= performance.now() - begun; n++) {
      sentAt[n] = performance.now()
      publishing.push(send(manager, 'POST', '/api/v1/streams/s/records', `{"n":${n}}`))
    }
    await new Promise((later) => setTimeout(later, 1))
  }
  await Promise.all([...publishing, following])
  return out.slice(warming).sort((a, b) => a - b)
}
/** One is 1 / its delay: more is better, as everywhere. */
const delay = (name: string, share: number): Subject =>
  onManager(name, async (manager) => {
    const all = await delays(manager)
    return { records: 1, seconds: (all[Math.floor(all.length * share)] as number) / 1000 }
  })
const median = delay('publish → follower at 1,000 records/s: the median delay (1 / s)', 0.5)
const tail = delay('publish → follower at 1,000 records/s: the 99th percentile (1 / s)', 0.99)

const crowd = 1_000
const crowdRecords = 1_000
const deliveries = onManager('1,000 followers of one stream, deliveries', async (manager) => {
  const { port } = new URL(manager.url)
  let seen = 0
  const all = Promise.withResolvers<void>()
  const sockets = Array.from({ length: crowd }, () => {
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(
      `GET /api/v1/streams/s/follow?form=body HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${manager.token}\r\n\r\n`,
    )
    socket.on('data', (chunk: Buffer) => {
      for (let at = chunk.indexOf('id: '); at >= 0; at = chunk.indexOf('id: ', at + 4)) seen++
      if (seen >= crowd * crowdRecords) all.resolve()
    })
    return socket
  })
  while (!/^millrace_followers 1000$/m.test(await send(manager, 'GET', '/metrics')))
    await new Promise((later) => setTimeout(later, 20))
  const begun = performance.now()
  for (let n = 0; n < crowdRecords; n += 50)
    await send(manager, 'POST', '/api/v1/streams/s/records', `${record}\n`.repeat(50), 'application/x-ndjson')
  await all.promise
  const seconds = (performance.now() - begun) / 1000
  for (const socket of sockets) socket.destroy()
  return { records: crowd * crowdRecords, seconds }
})

const ready = onManager('`millrace up`, until it is ready (1 / s)', async ({ readyMs }) => ({
  records: 1,
  seconds: readyMs / 1000,
}))

export const manager: Scenario = {
  name: 'manager',
  title: 'The manager over HTTP (300 B a record)',
  subjects: [lines, empty, singles, median, tail, deliveries, ready],
  claims: [
    {
      path: 'HTTP publish of JSON lines: at least 400,000 records/s',
      subject: lines.name,
      baseline: 400_000,
      ratio: 1,
    },
    {
      path: 'HTTP publish one by one, against an empty route',
      subject: singles.name,
      baseline: empty.name,
      ratio: 0.5,
    },
    { path: 'publish → follower: half of them within 3 ms', subject: median.name, baseline: 1 / 0.003, ratio: 1 },
    { path: 'publish → follower: 99 of 100 within 15 ms', subject: tail.name, baseline: 1 / 0.015, ratio: 1 },
    { path: '1,000 followers: at least 100,000 deliveries/s', subject: deliveries.name, baseline: 100_000, ratio: 1 },
    { path: '`millrace up` is ready within 1 s', subject: ready.name, baseline: 1, ratio: 1 },
  ],
}
