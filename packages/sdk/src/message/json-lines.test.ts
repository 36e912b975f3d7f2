import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { checkJsonLines } from './json-lines.ts'

const isJson = (line: string): boolean => {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}
const accepts = (line: string): boolean => {
  try {
    return checkJsonLines(Buffer.from(`${line}\n`)).ends.length === 1
  } catch {
    return false
  }
}
const linesOf = (text: string): readonly string[] => {
  const { bytes, ends } = checkJsonLines(Buffer.from(text))
  let from = 0
  return [...ends].map((end) => {
    const line = Buffer.from(bytes.subarray(from, end)).toString()
    from = end + 1
    return line
  })
}

describe('the check of JSON lines', () => {
  for (const line of [
    '{}',
    '[]',
    '""',
    '0',
    '-0',
    '1e5',
    '1E+5',
    '-1.5e-3',
    'true',
    'false',
    'null',
    ' { "a" : [ 1 , 2 , { "b" : null } ] } ',
    '"\\u00e9\\n\\"\\\\"',
    '{"a":{"b":[[],{},""]}}',
    '"é😀"',
    '[1,2]\r',
    '"0123456789abcdef0123456789abcdef"',
    '[[[[]]],{}]',
    '',
    '{',
    '}',
    '[',
    ']',
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{,}',
    '[1,]',
    '[,1]',
    '{a:1}',
    "{'a':1}",
    '01',
    '-',
    '1.',
    '.5',
    '1e',
    '1e+',
    'tru',
    'True',
    'nul',
    'falsey',
    'NaN',
    'Infinity',
    '"',
    '"\\x"',
    '"\\u12g4"',
    '"\t"',
    '{} {}',
    '1 2',
    '[1 2]',
    '{"a":1 "b":2}',
    '[}',
    '{]',
    '{"a":1]',
    '[1}',
    ',',
    ':',
    '\u0000',
    '"\u0001"',
    '\ufeff{}',
    '+1',
    '0x10',
    '[1]]',
    '{"a":1}}',
    '{1:2}',
    '{"a":1,"b"}',
    '["a":1]',
    '{"a":true,"b":false,"c":null}',
    '//x',
    '[1,[2,[3]]',
    '{"":""}',
    '\f1',
    '\u00a01',
  ] as const)
    it(`${JSON.stringify(line)} is ${isJson(line) ? '' : 'no '}JSON`, () => assert.equal(accepts(line), isJson(line)))

  it('agrees with JSON.parse on what JSON values become when bytes of them change', () => {
    fc.assert(
      fc.property(
        fc.json(),
        fc.nat(),
        fc.constantFrom(...'{}[]",:0123456789eE+-.\\ tfnu"\u0001'),
        fc.nat(2),
        (text, at, c, how) => {
          const i = text.length === 0 ? 0 : at % text.length
          const line =
            how === 0 ? text : how === 1 ? text.slice(0, i) + c + text.slice(i) : text.slice(0, i) + text.slice(i + 1)
          if (line.trim() === '' || line.includes('\n')) return
          assert.equal(accepts(line), isJson(line), line)
        },
      ),
      { numRuns: 3000 },
    )
  })

  it('keeps every line byte for byte, leaves out blank ones, and needs no newline at the end', () => {
    assert.deepEqual(linesOf('{"a":1}\n[2]\n'), ['{"a":1}', '[2]'])
    assert.deepEqual(linesOf('\n {"a": 1.50}\r\n\n  \n"x"'), [' {"a": 1.50}\r', '"x"'])
    assert.deepEqual(linesOf('\n\n'), [])
    assert.deepEqual(linesOf(''), [])
  })

  it('tells the line that is bad, over several blocks', () => {
    const good = `${JSON.stringify({ a: 'x'.repeat(300) })}\n`.repeat(10_000)
    assert.equal(checkJsonLines(Buffer.from(good)).ends.length, 10_000)
    assert.throws(() => checkJsonLines(Buffer.from(`${good}{"a":}\n`), { firstLine: 5 }), {
      code: 'MESSAGE_NOT_JSON',
      message: /^line 10005: /,
    })
    assert.throws(() => checkJsonLines(Buffer.concat([Buffer.from(`${good}"`), Buffer.of(0xff), Buffer.from('"\n')])), {
      code: 'MESSAGE_NOT_UTF8',
      message: /^line 10001: /,
    })
    assert.throws(() => checkJsonLines(Buffer.from('['.repeat(1001) + ']'.repeat(1001))), { code: 'MESSAGE_TOO_DEEP' })
    assert.equal(checkJsonLines(Buffer.from('['.repeat(1000) + ']'.repeat(1000))).ends.length, 1)
  })

  it('takes lines that are longer than a block', () => {
    const long = JSON.stringify({ a: 'x'.repeat(3_000_000) })
    assert.deepEqual(linesOf(`1\n${long}\n2\n`), ['1', long, '2'])
    assert.throws(() => checkJsonLines(Buffer.from(`1\n${long}}\n2\n`)), {
      code: 'MESSAGE_NOT_JSON',
      message: /^line 2: /,
    })
  })
})
