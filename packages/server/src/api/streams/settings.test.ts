import assert from 'node:assert/strict'
import { it } from 'node:test'
import { testManager } from '../testing/manager.ts'

it('refuses settings of a stream that cannot be kept, and keeps what is not named', async () => {
  // 1e308 was passed on to SQLite, which failed, and the answer was to come again later.
  await using manager = await testManager()
  await manager.good('POST', '/api/v1/streams', { name: 's', settings: { maxBytes: 9 } })
  for (const settings of [
    { maxAgeMs: 1e308 },
    { maxAgeMs: 2 ** 53 },
    { maxRecords: 2.5 },
    { maxBytes: 0 },
    { amqp: true },
  ])
    for (const [method, path, body] of [
      ['PATCH', '/api/v1/streams/s', { settings }],
      ['POST', '/api/v1/streams', { name: 'other', settings }],
    ] as const) {
      const { status, text } = await manager.ask(method, path, { body: JSON.stringify(body) })
      assert.equal(status, 400, `${method} ${JSON.stringify(settings)}: ${text}`)
    }
  const changed = { maxAgeMs: Number.MAX_SAFE_INTEGER, amqp: false }
  const { settings } = await manager.good<{ settings: object }>('PATCH', '/api/v1/streams/s', { settings: changed })
  assert.deepEqual(settings, { maxBytes: 9, maxAgeMs: Number.MAX_SAFE_INTEGER })
})
