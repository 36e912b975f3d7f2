import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after } from 'node:test'
import { streamerSuite } from '@millrace/sdk/testing'
import { stations } from './stations.ts'
import { weather } from './weather.ts'

const readings = Array.from({ length: 3000 }, (_, id) => ({
  id: id + 1,
  station: id % 2 === 0 ? 'LIS' : 'ZRH',
  at: new Date(Date.UTC(2026, 0, 1) + Math.floor(id / 3) * 60_000).toISOString(),
  celsius: id % 7 === 0 ? null : id / 100,
}))
const server = createServer((request, response) => {
  const query = new URL(request.url ?? '/', 'http://localhost').searchParams
  const since = query.get('since') ?? ''
  const from = Number(query.get('after'))
  const page = readings.filter((r) => r.at >= since && r.id > from).slice(0, Number(query.get('limit')))
  response.end(JSON.stringify(page))
})
await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
after(() => server.close())
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

streamerSuite(weather, {
  config: { url, token: 'secret' },
  module: new URL('./weather.ts', import.meta.url),
})
streamerSuite(stations, { config: {}, incremental: true })
