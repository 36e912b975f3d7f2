import assert from 'node:assert/strict'
import { test } from 'node:test'
import { passMessages, wrapBodies } from './message-lines.ts'

const lines = (...texts: readonly string[]): Buffer => Buffer.from(texts.map((t) => `${t}\n`).join(''))
const passed = (...texts: readonly string[]): string => Buffer.concat(passMessages(lines(...texts)).parts).toString()

test('messages pass as they are, in their order, and states do not', () => {
  const schema = '{"type":"SCHEMA","stream":"a","schema":{},"key_properties":[]}'
  const record = '{"type":"RECORD","stream":"a","record":{"n":12345678901234567890.10}}'
  const spaced = '{ "stream":"a", "record":{"type":"STATE"}, "type":"RECORD" }'
  const states = [
    '{"type":"STATE","value":{"x":1}}',
    '{"value":{"type":"RECORD"},"type":"STATE"}',
    '{"type":"BOOKMARK","value":1}',
    '{ "type" : "\\u0053TATE","value":1}',
    '{"type":"RECORD","stream":"a","record":{},"type":"STATE","value":1}',
    '{"type":"RECORD","stream":"a","record":{},"t\\u0079pe":"STATE","value":1}',
  ]
  assert.equal(
    passed(schema, ...states.slice(0, 2), record, ...states.slice(2, 4), spaced, ...states.slice(4)),
    `${schema}\n${record}\n${spaced}\n`,
  )
})

test('the last schema of each substream is found by its place, and what is no message is told', () => {
  const { schemas, strangers, parts } = passMessages(
    lines(
      '{"type":"SCHEMA","stream":"a","schema":{"v":1}}',
      '{"type":"RECORD","stream":"a","record":{}}',
      '{"type":"SCHEMA","stream":"b","schema":{}}',
      '{"temperature":21}',
      'no JSON',
      '{"type":"SCHEMA","stream":"a","schema":{"v":2}}',
    ),
  )
  assert.deepEqual(
    [...schemas],
    [
      ['a', 5],
      ['b', 2],
    ],
  )
  assert.deepEqual(strangers, [3, 4])
  assert.doesNotMatch(Buffer.concat(parts).toString(), /temperature|no JSON/)
})

test('a block without a last newline, and an empty one', () => {
  const text = '{"type":"RECORD","stream":"a","record":{}}'
  assert.equal(Buffer.concat(passMessages(Buffer.from(text)).parts).toString(), text)
  assert.deepEqual(passMessages(Buffer.alloc(0)).parts, [])
})

test('bare bodies become records of one substream; what is no object becomes a value', () => {
  assert.equal(
    wrapBodies(lines('{"n":1.10}', '  {"m":2}', '[1,2]', '"x"', 'null'), 'it "s').toString(),
    [
      '{"type":"RECORD","stream":"it \\"s","record":{"n":1.10}}',
      '{"type":"RECORD","stream":"it \\"s","record":  {"m":2}}',
      '{"type":"RECORD","stream":"it \\"s","record":{"value":[1,2]}}',
      '{"type":"RECORD","stream":"it \\"s","record":{"value":"x"}}',
      '{"type":"RECORD","stream":"it \\"s","record":{"value":null}}',
      '',
    ].join('\n'),
  )
})
