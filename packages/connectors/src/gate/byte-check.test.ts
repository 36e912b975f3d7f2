import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { JsonObject, RecordCheck } from '@millrace/sdk'
import { compileByteCheck } from './byte-check.ts'
import { compileSchema } from './validation.ts'

const seed = Number(process.env['MILLRACE_TEST_SEED'] ?? 20261121)
let state = seed
const random = (): number => {
  state = (state + 0x6d2b79f5) | 0
  let t = Math.imul(state ^ (state >>> 15), 1 | state)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}
const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T

const orders: JsonObject = {
  type: 'object',
  properties: {
    id: { type: 'integer' },
    code: { type: 'string', maxLength: 12 },
    note: { type: ['null', 'string'] },
    amount: { type: 'number', minimum: -10, maximum: 1e6 },
    price: { type: ['null', 'number'], multipleOf: 0.01 },
    active: { type: 'boolean' },
    at: { anyOf: [{ type: 'string', format: 'date-time' }, { type: 'null' }] },
    day: { type: ['string', 'null'], format: 'date' },
    address: {
      type: ['null', 'object'],
      properties: { city: { type: 'string' }, geo: { type: 'number' } },
      required: ['city'],
    },
    tags: { type: ['null', 'array'], items: { type: 'string' } },
    any: {},
    é: { type: 'integer' },
    __proto__x: { type: 'string' },
  },
}
const closed: JsonObject = {
  properties: { id: { type: ['integer', 'string'] }, x: { items: { type: ['integer', 'null'] } } },
  additionalProperties: false,
}

const record = (): string =>
  JSON.stringify({
    id: Math.floor(random() * 1e6),
    code: pick(['ORD-1', 'naïve', 'say "hi"', 'tab\t', '']),
    note: pick([null, 'x', '東京都 🚚', 'line\nbreak']),
    amount: pick([0, -0.5, 1e5, 12.25, 3]),
    price: pick([null, 0, 0.07, 19.99, -123456.78, 0.125]),
    active: random() < 0.5,
    at: pick([
      null,
      '2024-01-28T10:20:30Z',
      '2024-02-29T10:20:30.123456Z',
      '2024-01-01 00:00:00',
      '2023-02-29T00:00:00Z',
    ]),
    day: pick([null, '2024-12-31', '2024-13-01']),
    address: pick([null, { city: 'Zürich', geo: 1.5 }, { city: 'x', more: [1, { a: null }] }, { geo: 1 }]),
    tags: pick([null, [], ['a', 'b'], ['a', 1]]),
    any: pick([1, 'x', [[], {}], { a: { b: [true, false, null] } }]),
    é: 1,
    unknown: pick([1, 'x', null]),
  })

/** One change: a byte replaced, dropped, put in or doubled, or the text cut. */
const mutate = (good: Buffer): Buffer => {
  const at = Math.floor(random() * good.length)
  const one = Buffer.from([
    pick([...'{}[]",:\\/ \n\t0123456789.-+eEnulltrueafs', '\u0000', '\u001f'].map((c) => c.charCodeAt(0))),
  ])
  switch (Math.floor(random() * 5)) {
    case 0:
      return Buffer.concat([good.subarray(0, at), one, good.subarray(at + 1)])
    case 1:
      return Buffer.concat([good.subarray(0, at), good.subarray(at + 1)])
    case 2:
      return Buffer.concat([good.subarray(0, at), one, good.subarray(at)])
    case 3:
      return good.subarray(0, at)
    default:
      return Buffer.concat([good.subarray(0, at), good.subarray(Math.max(0, at - Math.floor(random() * 20)))])
  }
}

const checkOf = (schema: JsonObject, keyProperties: readonly string[] = []): RecordCheck =>
  compileSchema({ type: 'SCHEMA', stream: 's', schema, keyProperties, line: 1 })

/** Whether JSON.parse and Ajv accept the bytes. */
const isValid = (check: RecordCheck, bytes: Buffer): boolean => {
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return (
      typeof value === 'object' && value !== null && !Array.isArray(value) && check(value as JsonObject) === undefined
    )
  } catch {
    return false
  }
}

const accepts = (check: RecordCheck, bytes: Buffer, around = 0): boolean => {
  const padded = Buffer.concat([Buffer.alloc(around, '"'), bytes, Buffer.alloc(around, '}')])
  return check.accepts?.(padded, around, around + bytes.length) ?? false
}

describe(`the byte check (seed ${seed})`, () => {
  for (const [name, schema, keys] of [
    ['orders', orders, ['id']],
    ['closed', closed, []],
  ] as const) {
    it(`never says yes where the parser or Ajv says no, 20,000 mutations (${name})`, () => {
      const check = checkOf(schema, keys)
      assert.ok(check.accepts)
      let yes = 0
      let valid = 0
      for (let i = 0; i < 20_000; i++) {
        const good = Buffer.from(
          name === 'orders'
            ? record()
            : JSON.stringify(pick([{ id: 1, x: [1, null] }, { id: 'a' }, { x: ['a'] }, { y: 1 }, {}])),
        )
        const bytes = random() < 0.3 ? good : mutate(good)
        const isGood = isValid(check, bytes)
        if (isGood) valid++
        if (!accepts(check, bytes, i % 3)) continue
        yes++
        assert.ok(isGood, `accepted: ${bytes.toString()}`)
      }
      assert.ok(yes > valid * 0.7, `only ${yes} of ${valid} valid records were accepted without parsing`)
    })
  }

  it('accepts what is ordinary', () => {
    const check = checkOf(orders, ['id'])
    for (const good of [
      '{"id":1}',
      ' {"id" : -0 , "amount":1.5e3, "tags":[ ] }'.trim(),
      '{"id":12345678901234567890123,"note":"\\u00e9\\n\\ud83d"}',
      '{"id":1,"at":"2024-01-28T23:59:59.123456789Z","address":{"city":"x"}}',
      '{"unknown":{"deep":[[[{}]]]},"id":7}',
    ])
      assert.equal(accepts(check, Buffer.from(good)), true, good)
  })

  it('leaves to the careful check what it cannot decide, and what is wrong', () => {
    const check = checkOf(orders, ['id'])
    for (const [text, isGood] of [
      ['{"id":1.0}', true],
      ['{"\\u0069d":1}', true],
      ['{"id":1,"amount":100000.0000000000001}', true],
      ['{"id":null}', false],
      ['{}', false],
      ['{"id":01}', false],
      ['{"id":1,"amount":1000001}', false],
      ['{"id":1,"address":{"geo":1}}', false],
      ['{"id":1}}', false],
      ['{"id":1', false],
      ['{"id":1,}', false],
      ['{"id":1,"note":"a\nb"}', false],
      ['{"id":1,"note":"\\x"}', false],
      ['{"id":1,"note":"\\u12g4"}', false],
      ['[1]', false],
    ] as const) {
      assert.equal(accepts(check, Buffer.from(text)), false, text)
      assert.equal(isValid(check, Buffer.from(text)), isGood, text)
    }
  })

  it('knows which schemas it cannot decide', () => {
    const undecided: readonly JsonObject[] = [
      { properties: { a: { enum: [1] } } },
      { properties: { a: { pattern: 'x' } } },
      { properties: { a: { $ref: '#/definitions/x' } }, definitions: { x: {} } },
      { anyOf: [{ type: 'object' }, { type: 'object', required: ['a'] }] },
      { properties: { a: { anyOf: [{ type: 'integer' }, { type: 'number' }] } } },
      { properties: { a: false } },
      { properties: { a: { type: 'text' } } },
      { properties: { a: { items: [{ type: 'string' }] } } },
      { required: Array.from({ length: 40 }, (_, i) => `f${i}`) },
    ]
    for (const schema of undecided) assert.equal(compileByteCheck(schema, []), undefined, JSON.stringify(schema))
  })

  it('does not follow nesting into the ground', () => {
    const check = checkOf({ properties: {} })
    const deep = Buffer.from(`{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`)
    assert.equal(accepts(check, deep), false)
  })

  it('tells records of one piece of input apart, near and far, of several schemas in turns', () => {
    const numbers = compileByteCheck({ properties: { a: { type: 'integer' } }, required: ['a'] }, [])
    const texts = compileByteCheck({ properties: { a: { type: 'string' } }, required: ['a'] }, [])
    const records = Array.from({ length: 9_000 }, (_, i) =>
      i % 3 === 0 ? `{"a":"${i}"}` : `{"a":${i},"b${i % 7}":null}`,
    )
    const input = Buffer.from(records.join('\n'))
    const walk = (step: (i: number, from: number, to: number) => void): void => {
      let from = 0
      for (const [i, record] of records.entries()) {
        step(i, from, from + record.length)
        from += record.length + 1
      }
    }
    walk((i, from, to) => {
      assert.equal(numbers?.accepts(input, from, to), i % 3 !== 0, records[i])
      assert.equal(texts?.accepts(input, from, to), i % 3 === 0, records[i])
      assert.equal(numbers?.accepts(input, from, to - 1), false)
    })
    assert.equal(texts?.accepts(input, 0, 9), true)
  })

  it('goes on after any number of names that the schema has not', () => {
    const check = compileByteCheck({ properties: { id: { type: 'integer' } } }, ['id'])
    for (let i = 0; i < 20_000; i++) {
      const at = `unheard of ${i}`
      assert.equal(check?.accepts(...whole(`{"${at}":{"${at} too":[1]},"id":${i},"é${i}":"x"}`)), true)
      assert.equal(check?.accepts(...whole(`{"${at}":1,"id":"${i}"}`)), false)
    }
    assert.equal(check?.accepts(...whole('{"id":1,"more":true}')), true)
  })

  it('goes on after any number of schemas', () => {
    const first = compileByteCheck({ properties: { id: { type: 'integer' } } }, ['id'])
    assert.equal(first?.accepts(...whole('{"id":1}')), true)
    for (let i = 0; i < 40; i++) {
      const fields = Array.from({ length: 10_000 }, (_, k) => [`field ${i} ${k}`, { type: 'integer' }])
      const check = compileByteCheck({ properties: Object.fromEntries(fields), additionalProperties: false }, [])
      assert.equal(check?.accepts(...whole(`{"field ${i} 9999":1,"field ${i} 0":2}`)), true)
      assert.equal(check?.accepts(...whole(`{"field ${i} 9999":1,"field ${i + 1} 0":2}`)), false)
    }
    assert.equal(first?.accepts(...whole('{"id":1}')), true)
    assert.equal(first?.accepts(...whole('{"id":"1"}')), false)
  })

  it('takes lines of records only where each of them fits', () => {
    const check = compileByteCheck({ properties: { a: { type: 'integer' }, t: { type: 'string' } } }, ['a'])
    const good = ['{"a":1}', '{"t":"{\\n}","a":2}', '{ "a" : 3, "b": [{}] }']
    const lines = (...records: readonly string[]): Buffer => Buffer.from(records.map((r) => `${r}\n`).join(''))
    assert.equal(check?.acceptsLines(lines(...good)), true)
    assert.equal(check?.acceptsLines(lines()), true)
    for (const bad of ['{"a":"1"}', '{}', '{"a":1', '{"a":1}}', '{"a":1} ', '{"a":1}{"a":1}', '[]', '', '{"a":1.0}'])
      for (const at of [0, 1, 3])
        assert.equal(check?.acceptsLines(lines(...good.toSpliced(at, 0, bad))), false, `${bad} at ${at}`)
    assert.equal(check?.acceptsLines(Buffer.from('{"a":1}')), false)
    // What one piece left behind is not taken for the other's, whichever came last.
    const single = Buffer.from('{"a":1}')
    assert.equal(check?.accepts(single, 0, single.length), true)
    assert.equal(check?.acceptsLines(lines('{"a":"x"}')), false)
    assert.equal(check?.accepts(single, 0, single.length), true)
    // More than goes into the memory at once.
    assert.equal(check?.acceptsLines(Buffer.from('{"a":1}\n'.repeat(150_000))), false)
  })

  it('takes records of up to a megabyte, and leaves longer ones to the parser', () => {
    const check = checkOf({ properties: { t: { type: 'string' } } })
    for (const [length, isTaken] of [
      [100_000, true],
      [1024 * 1024 - 8, true],
      [1024 * 1024 - 7, false],
    ] as const) {
      const record = `{"t":"${'é'.repeat(length / 2)}${length % 2 === 1 ? 'x' : ''}"}`
      assert.equal(accepts(check, Buffer.from(record)), isTaken, `${length}`)
      assert.equal(accepts(check, Buffer.from(record.replace('"}', '\\q"}'))), false)
      assert.equal(isValid(check, Buffer.from(record)), true)
    }
  })
})

const whole = (text: string): [bytes: Buffer, from: number, to: number] => {
  const bytes = Buffer.from(text)
  return [bytes, 0, bytes.length]
}
