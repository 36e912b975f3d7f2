import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { up } from './fixtures/manager.ts'
import { eventually, millrace, temporaryFolder } from './fixtures/program.ts'

/** As a subscriber does it who knows nothing of us but standardwebhooks.com. */
const isGenuine = (secret: string, headers: IncomingHttpHeaders, body: string): boolean => {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
  const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`
  const signature = createHmac('sha256', key).update(signed).digest('base64')
  return String(headers['webhook-signature']).split(' ').includes(`v1,${signature}`)
}

test('a stream is pushed to a URL: signed, with every digit, and a subscription is told as it is', async () => {
  using folder = temporaryFolder()
  await using manager = await up(folder.path, ['--private-webhooks'])
  const pushes: { readonly headers: IncomingHttpHeaders; readonly body: string }[] = []
  const receiver = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      pushes.push({ headers: request.headers, body: Buffer.concat(chunks).toString() })
      response.writeHead(200).end()
    })
  })
  receiver.listen(0, '127.0.0.1')
  await once(receiver, 'listening')
  const { token } = JSON.parse(readFileSync(join(folder.path, '.millrace/manager.json'), 'utf8')) as { token: string }
  const api = async (method: string, path: string, body?: unknown): Promise<{ status: number; json: unknown }> => {
    const answer = await fetch(`${manager.url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    return { status: answer.status, json: text === '' ? undefined : JSON.parse(text) }
  }
  try {
    assert.equal((await millrace(['streams', 'create', 'news'], { cwd: folder.path })).code, 0)
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`
    const made = await api('POST', '/streams/news/subscriptions', { url })
    assert.equal(made.status, 201, JSON.stringify(made.json))
    const { subscription, secret } = made.json as { subscription: { id: string; position: number }; secret: string }
    assert.equal(subscription.position, 0)
    const input = '{"n":12345678901234567890.10}\n"text"\n'
    assert.equal((await millrace(['publish', 'news'], { cwd: folder.path, input })).code, 0)
    await eventually(() => pushes.some(({ body }) => body.includes('"text"')), 'both records are pushed')
    for (const { headers, body } of pushes) assert.ok(isGenuine(secret, headers, body), body)
    const [first] = pushes
    assert.match(first?.body ?? '', /"value":\{"n":12345678901234567890\.10\}/)
    const path = `/streams/news/subscriptions/${subscription.id}`
    for (;;) {
      const { json } = await api('GET', path)
      assert.ok(!JSON.stringify(json).includes('whsec_'))
      if ((json as { position: number }).position === 2) break
    }
    const refused = await api('POST', '/streams/news/subscriptions', { url: 'ftp://x' })
    assert.equal(refused.status, 400)
    assert.equal((refused.json as { code: string }).code, 'SUBSCRIPTION_INVALID')
    assert.equal((await api('PATCH', path, { isPaused: true })).status, 200)
    assert.equal((await api('DELETE', path)).status, 204)
    assert.equal((await api('GET', path)).status, 404)
  } finally {
    receiver.closeAllConnections()
    receiver.close()
  }
})
