import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { after, before, describe, it } from 'node:test'
import {
  encodeJson,
  isMillraceError,
  type JsonObject,
  type MillraceError,
  runPersister,
  silentLogger,
} from '@millrace/sdk'
import { persisterSuite } from '@millrace/sdk/testing'
import {
  settingsFor,
  type StreamDuoServer,
  type StreamDuoServerOptions,
  startStreamDuoServer,
} from '../../streamduo/testing/server.ts'
import { streamduo } from './index.ts'

let shared: StreamDuoServer
before(async () => {
  shared = await startStreamDuoServer()
})
after(() => shared[Symbol.asyncDispose]())

persisterSuite('streamduo', {
  persister: streamduo,
  config: (dir) => settingsFor(shared, basename(dir)),
  // A stream has no substreams; each request has a key that begins with the name of its own.
  read: async (dir) => {
    const rows = new Map<string, JsonObject[]>()
    for (const { key = '', dataPayload } of shared.records(basename(dir))) {
      const substream = decodeURIComponent(key.replace(/\.[^.]*$/, ''))
      rows.set(substream, [...(rows.get(substream) ?? []), dataPayload as JsonObject])
    }
    return rows
  },
  module: new URL('./index.ts', import.meta.url),
  kills: 6,
  remote: true,
})

const records = (from: number, to: number): string =>
  Array.from(
    { length: to - from },
    (_, i) => `${encodeJson({ type: 'RECORD', stream: 'users', record: { id: from + i } })}\n`,
  ).join('')
const schema =
  '{"type":"SCHEMA","stream":"users","schema":{"properties":{"id":{"type":"integer"}}},"key_properties":[]}\n'

interface Ran {
  readonly states: readonly string[]
  readonly error: MillraceError | undefined
  readonly payloads: readonly unknown[]
}
const run = async (input: string, options: StreamDuoServerOptions = {}, settings: JsonObject = {}): Promise<Ran> => {
  await using server = await startStreamDuoServer(options)
  const states: string[] = []
  let error: MillraceError | undefined
  await runPersister(streamduo, {
    config: { maxConcurrent: 1, tokenUrl: undefined, ...settingsFor(server, 's'), ...settings } as never,
    input: (async function* () {
      yield Buffer.from(input)
    })(),
    log: silentLogger,
    signal: new AbortController().signal,
    flushRecords: 3,
    writeState: (line) => {
      states.push(line.trim())
    },
  }).catch((e: unknown) => {
    if (!isMillraceError(e)) throw e
    error = e
  })
  return { states, error, payloads: server.records('s').map((r) => r.dataPayload) }
}
const ids = (n: number): readonly unknown[] => Array.from({ length: n }, (_, id) => ({ id }))

describe('the persister streamduo', () => {
  it('writes each record as a payload, in order, digit for digit', async () => {
    const exact = '{"type":"RECORD","stream":"users","record":{"id":0,"n":12345678901234567890.1230}}\n'
    let body = ''
    const { states, payloads } = await run(`${schema}${exact}${records(1, 9)}{"type":"STATE","value":8}\n`, {
      fault: (n, request) => {
        if (n === 0) body = request.body.toString()
        return undefined
      },
    })
    assert.deepEqual(states, ['8'])
    assert.equal(
      body,
      '{"recordId":null,"streamId":null,"recordTimeStampISO":null,"readStatus":null,"dataPayload":{"id":0,"n":12345678901234567890.1230}}',
    )
    assert.deepEqual(payloads.slice(1), ids(9).slice(1))
  })

  it('writes a record once, though its answer was lost', async () => {
    const { payloads, states } = await run(`${schema}${records(0, 6)}{"type":"STATE","value":5}\n`, {
      fault: (n) => (n === 1 ? 'cut' : n === 4 ? 503 : undefined),
    })
    assert.deepEqual([payloads, states], [ids(6), ['5']])
  })

  it('tells a record that is refused by its line, and lets out no state behind it', async () => {
    const { error, states } = await run(
      `${schema}${records(0, 3)}{"type":"STATE","value":2}\n${records(3, 6)}{"type":"STATE","value":5}\n`,
      { fault: (n) => (n === 4 ? 422 : undefined) },
    )
    assert.deepEqual(states, ['2'])
    assert.equal(error?.code, 'DESTINATION_REFUSED')
    assert.match(error.message, /a record of users \(422, line 7 of the input\)/)
  })
})
