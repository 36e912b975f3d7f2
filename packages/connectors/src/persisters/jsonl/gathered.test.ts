/** Records that are valid by their bytes go from the reader into the file gathered; what arrives must be what goes one by one. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { type CompileSchema, runPersister, silentLogger } from '@millrace/sdk'
import { jsonl } from './index.ts'

const root = mkdtempSync(join(tmpdir(), 'gathered-'))
after(() => rmSync(root, { recursive: true, force: true }))

const line = (stream: string, id: number, filling: number): string =>
  `{"type":"RECORD","stream":"${stream}","record":{"id":${id}, "text":"${'é"\\\\'.replaceAll('"', '\\"').repeat(filling)}"},"time_extracted":"2026-01-01T00:00:0${id % 10}Z"}`

/** Two substreams by turns, one of them without a SCHEMA, states between, and one line longer than the spool. */
const text = (): string => {
  const lines = ['{"type":"SCHEMA","stream":"a","schema":{},"key_properties":["id"]}']
  for (let id = 1; id <= 6_000; id++) {
    lines.push(line(id % 50 < 40 ? 'a' : 'b', id, id % 30))
    if (id % 1_000 === 0) lines.push(`{"type":"STATE","value":${id}}`)
    if (id === 3_000) lines.push(line('a', 0, 400_000))
  }
  return `${lines.join('\n')}\n`
}

const acceptAll: CompileSchema = () => Object.assign(() => undefined, { accepts: () => true })

/** Knows a part of the pieces to be good, and has the others looked at. */
const acceptSome: CompileSchema = () => {
  let asked = 0
  return Object.assign(() => undefined, { accepts: () => true, acceptsLines: () => ++asked % 3 > 0 })
}

const load = async (input: Buffer, chunkBytes: number, compileSchema: CompileSchema | undefined) => {
  const path = mkdtempSync(join(root, 'f-'))
  const states: string[] = []
  const { books } = await runPersister(jsonl, {
    config: { path, mode: 'append', compression: 'none' },
    input: (async function* () {
      for (let at = 0; at < input.length; at += chunkBytes) yield input.subarray(at, at + chunkBytes)
    })(),
    writeState: (state) => {
      states.push(state)
    },
    report: () => {},
    flushRecords: 1_500,
    log: silentLogger,
    signal: new AbortController().signal,
    ...(compileSchema === undefined ? {} : { compileSchema }),
  })
  const file = (name: string): string => readFileSync(join(path, `${name}.jsonl`), 'utf8')
  return { books, states, a: file('a'), b: file('b') }
}

describe('jsonl, where records go by gathered', () => {
  it('holds the same bytes, books and states as with every record looked at', async () => {
    const input = Buffer.from(text())
    const one = await load(input, 65_536, acceptAll)
    assert.equal(one.books['a']?.stored.records, 4_801)
    assert.equal(one.books['b']?.stored.records, 1_200)
    for (const chunkBytes of [1_777, 65_536, 1_000_000, input.length])
      for (const check of [undefined, acceptSome])
        assert.deepEqual(await load(input, chunkBytes, check), one, `in chunks of ${chunkBytes}`)
  })

  it('refuses what is no JSON where no schema came, at its line', async () => {
    // The broken line stood in the file, and the state behind it was released.
    for (const before of [0, 1, 3_000])
      for (const bad of ['{"id":tru}', '{"id":NaN}'])
        for (const keys of ['', '"key_fields":["id"],']) {
          const record = (value: string): string => `{"type":"RECORD","stream":"b",${keys}"record":${value}}\n`
          const input = Buffer.from(`${record('{"id":1}').repeat(before)}${record(bad)}{"type":"STATE","value":1}\n`)
          await assert.rejects(load(input, 65_536, acceptAll), {
            code: 'MESSAGE_NOT_JSON',
            message: new RegExp(`line ${before + 1}:`),
          })
        }
  })
})
