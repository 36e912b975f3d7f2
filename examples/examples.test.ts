import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Message, MessageReader, RecordMessage } from '@millrace/sdk'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** Runs a program and reads what it wrote. */
const run = async (
  program: string,
  ...args: readonly string[]
): Promise<{ readonly messages: Message[]; readonly code: number; readonly stderr: string }> => {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const reader = new MessageReader()
  const messages: Message[] = []
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => messages.push(...reader.push(chunk)))
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const [code] = (await once(child, 'close')) as [number]
  messages.push(...reader.end())
  assert.equal(reader.failure, undefined)
  return { messages, code, stderr }
}
const types = (messages: readonly Message[]): string[] => messages.map((m) => m.type)
const record = (m: Message | undefined): unknown => (m instanceof RecordMessage ? m.record : m)

test('hello: one printf is a streamer', async () => {
  const { messages, code } = await run('/bin/sh', here('hello/hello.sh'))
  assert.deepEqual([code, types(messages), record(messages[0])], [0, ['RECORD'], { value: 'world' }])
})

test('stream-ip: fetches one value, writes schema, record and state', async () => {
  const server = createServer((request, response) => {
    response.statusCode = request.url === '/' ? 200 : 503
    response.end('{"ip":"192.0.2.7"}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  try {
    const { messages, code } = await run(process.execPath, here('stream-ip/stream-ip.ts'), url)
    assert.equal(code, 0)
    assert.deepEqual(types(messages), ['SCHEMA', 'RECORD', 'STATE'])
    assert.equal((record(messages[1]) as { ip: string }).ip, '192.0.2.7')
    const failed = await run(process.execPath, here('stream-ip/stream-ip.ts'), `${url}/down`)
    assert.deepEqual([failed.code, failed.messages.length], [1, 0])
    assert.match(failed.stderr, /^CRITICAL .* answered 503$/m)
  } finally {
    server.close()
  }
})

test('the code in the how-to pages is the code of the examples', async () => {
  for (const [name, least] of [
    ['write-a-streamer', 5],
    ['write-an-operation', 2],
  ] as const) {
    const page = await readFile(here(`../docs/how-to/${name}.md`), 'utf8')
    const shown = [
      ...page.matchAll(
        /<!-- (examples\/\S+|packages\/\S+)(?: from "([^"]+)" to "([^"]+)")? -->\n```[^\n]+\n([\s\S]*?)\n```/g,
      ),
    ]
    assert.ok(shown.length >= least)
    assert.equal(
      shown.length,
      page.split('```ts').length - 1 + page.split('```sh cut').length - 1,
      'every block of TypeScript says where it is cut from',
    )
    for (const [, path = '', from, to, code = ''] of shown) {
      const file = await readFile(here(`../${path}`), 'utf8')
      const cut =
        from === undefined ? file : file.slice(file.indexOf(from), file.indexOf(to as string, file.indexOf(from)))
      assert.equal(code.trim(), cut.trim(), path)
    }
  }
})
