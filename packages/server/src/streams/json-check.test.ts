import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isJson, maxJsonDepth } from './json-check.ts'

const parses = (bytes: Uint8Array): boolean => {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
    return true
  } catch {
    return false
  }
}
const nested = (depth: number): Buffer => Buffer.from('['.repeat(depth) + ']'.repeat(depth))

describe('whether bytes are JSON', () => {
  it('is what the parser says, of values and of values with a byte changed', () => {
    const change = fc.tuple(fc.nat(), fc.constantFrom(...Buffer.from('{}[]",:0-.eE+\\u tn\n\0\x1fx'), 0xff, 0x80, 0xc3))
    fc.assert(
      fc.property(fc.jsonValue(), fc.array(change, { maxLength: 3 }), fc.nat(2), (value, changes, indent) => {
        const bytes = Buffer.from(JSON.stringify(value, null, indent))
        assert.ok(isJson(bytes))
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte
        assert.equal(isJson(bytes), parses(bytes), bytes.toString())
      }),
      { numRuns: 3_000 },
    )
  })

  for (const text of [
    '',
    ' ',
    '1 2',
    '01',
    '-',
    '-0',
    '1.',
    '.5',
    '1e',
    '1E+2',
    '"\\u12g4"',
    '"\\ud800"',
    '"\t"',
    '"a',
    '"\\',
    '{"a":1,}',
    '[1,]',
    '[,1]',
    '{a:1}',
    '{"a"}',
    '{"a":}',
    '{1:2}',
    '[1}',
    '{]',
    ']',
    'nul',
    'nulls',
    'true false',
    '\ufeff1',
    '1\u00a0',
    '[1]x',
    ' {"a" : [ ] } ',
    '"é🚚"',
    '{"":{}}',
    'NaN',
    "'a'",
  ])
    it(`agrees on ${JSON.stringify(text)}`, () => assert.equal(isJson(Buffer.from(text)), parses(Buffer.from(text))))

  it('is no where it is nested too deep for those who read it, and does not fall over it', () => {
    assert.ok(isJson(nested(maxJsonDepth)))
    assert.ok(!isJson(nested(maxJsonDepth + 2)))
    assert.ok(!isJson(Buffer.alloc(5_000_000, '[')))
  })
})
