import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { text } from '../config/fields.ts'
import type { MillraceError } from '../errors/error.ts'
import { silentLogger } from '../log/logger.ts'
import { defineOperation } from './define.ts'
import { runOperation } from './run.ts'
import type { Operation } from './types.ts'

const run = async (operation: Operation, input: string, config: Readonly<Record<string, unknown>> = {}) => {
  const out: string[] = []
  let error: unknown
  async function* chunks(): AsyncGenerator<Uint8Array> {
    // Small chunks, so that lines are cut anywhere.
    for (let at = 0; at < input.length; at += 7) yield Buffer.from(input.slice(at, at + 7))
  }
  try {
    await runOperation(operation, {
      config,
      input: chunks(),
      write: async (chunk) => {
        out.push(Buffer.from(chunk).toString())
      },
      log: silentLogger,
      signal: new AbortController().signal,
    })
  } catch (e) {
    error = e
  }
  return { lines: out.join('').split('\n').slice(0, -1), error }
}

const pancakes = defineOperation({
  name: 'waffle',
  doc: 'Replaces a word.',
  config: { word: text({ doc: 'The word', default: 'pancake' }) },
  lines: (lines, { config }) => lines.map((l) => l.replaceAll(config.word, 'waffle')),
})

const bigOnes = defineOperation({
  name: 'big-ones',
  doc: 'Doubles big amounts and drops the others.',
  config: {},
  schema: (schema) => ({ ...schema, title: 'changed' }),
  records: async (records) => records.filter((r) => (r['n'] as number) > 1).flatMap((r) => [r, { ...r, copy: true }]),
})

describe('an operation', () => {
  it('changes plain lines, also a last one without newline', async () => {
    assert.deepEqual((await run(pancakes, 'a pancake\r\n\nno\ntwo pancakes', { word: 'pancake' })).lines, [
      'a waffle',
      '',
      'no',
      'two waffles',
    ])
  })

  it('changes records and lets every other message pass in its place', async () => {
    const input = [
      '{"type":"SCHEMA","stream":"s","schema":{"properties":{}},"key_properties":[]}',
      '{"type":"RECORD","stream":"s","record":{"n":1}}',
      '{"type":"RECORD","stream":"s","record":{"n":2,"big":12345678901234567890}}',
      '{"type":"STATE","value":{"at":2}}',
      '{"type":"RECORD","stream":"s","record":{"n":3}}',
    ].join('\n')
    assert.deepEqual((await run(bigOnes, input)).lines, [
      '{"type":"SCHEMA","stream":"s","schema":{"properties":{},"title":"changed"},"key_properties":[]}',
      '{"type":"RECORD","stream":"s","record":{"n":2,"big":12345678901234567890}}',
      '{"type":"RECORD","stream":"s","record":{"n":2,"big":12345678901234567890,"copy":true}}',
      '{"type":"STATE","value":{"at":2}}',
      '{"type":"RECORD","stream":"s","record":{"n":3}}',
      '{"type":"RECORD","stream":"s","record":{"n":3,"copy":true}}',
    ])
  })

  it('writes what came before a bad line, and names the line', async () => {
    const { lines, error } = await run(bigOnes, '{"type":"RECORD","stream":"s","record":{"n":5}}\nnot json\n')
    assert.equal(lines.length, 2)
    assert.equal((error as MillraceError).code, 'MESSAGE_NOT_JSON')
    assert.equal((error as MillraceError).details['line'], 2)
  })

  it('refuses a definition with both forms or none, and a line with a newline in it', async () => {
    assert.throws(() => defineOperation({ name: 'x', doc: '', config: {} }), TypeError)
    const broken = defineOperation({ name: 'x', doc: '', config: {}, lines: () => ['a\nb'] })
    assert.equal(((await run(broken, 'x\n')).error as MillraceError).code, 'MESSAGE_MALFORMED')
  })
})
