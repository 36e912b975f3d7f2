import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type JsonObject, RecordMessage, type SchemaMessage } from '@millrace/sdk'
import { compileMaps } from './maps.ts'

const schema = (properties: JsonObject, keyProperties: readonly string[] = []): SchemaMessage => ({
  type: 'SCHEMA',
  stream: 'orders',
  schema: { type: 'object', properties },
  keyProperties,
  line: 1,
})
const record = (text: string): RecordMessage => {
  const buffer = Buffer.from(text)
  return new RecordMessage('orders', 7, { buffer, from: 0, to: buffer.length })
}
/** The record as text after the maps; undefined where it was filtered out. */
const mapped = (rules: JsonObject, text: string, properties: JsonObject = {}): string | undefined =>
  compileMaps({ orders: rules })(schema(properties))?.apply(record(text))?.bytes().toString()

describe('maps', () => {
  it('rename, drop and mask, with exact numbers and fields in their order', () => {
    const text =
      '{"id":12345678901234567890,"amount":0.10000000000000000000001,"secret":1,"email":"someone@example.com","__proto__":{"a":1}}'
    assert.equal(
      mapped({ rename: { id: 'key' }, drop: ['secret'], mask: { email: 'last4' } }, text),
      '{"key":12345678901234567890,"amount":0.10000000000000000000001,"email":"****.com","__proto__":{"a":1}}',
    )
    assert.equal(({} as { a?: unknown }).a, undefined)
  })

  it('masks: hash by the salt, redact to null, null stays null, a short text is not shown', () => {
    const one = mapped({ mask: { a: 'hash' }, mask_salt: 'x' }, '{"a":"v"}')
    assert.equal(one, mapped({ mask: { a: 'hash' }, mask_salt: 'x' }, '{"a":"v"}'))
    assert.notEqual(one, mapped({ mask: { a: 'hash' }, mask_salt: 'y' }, '{"a":"v"}'))
    assert.match(one ?? '', /^\{"a":"[0-9a-f]{64}"\}$/)
    assert.equal(
      mapped(
        { mask: { a: 'redact', b: 'last4', c: 'last4', d: 'hash' } },
        '{"a":5,"b":"12345678","c":1234567890,"d":null}',
      ),
      '{"a":null,"b":"****","c":"****7890","d":null}',
    )
  })

  it('the schema follows the records', () => {
    const map = compileMaps({
      orders: { rename_to: 'sales', rename: { id: 'key', a: 'b' }, drop: ['gone'], mask: { m: 'hash', r: 'redact' } },
    })
    const properties = { id: { type: 'integer' }, a: {}, gone: {}, m: { type: 'integer' }, r: { type: 'integer' } }
    const to = map({
      ...schema(properties, ['id']),
      schema: { properties, required: ['a', 'gone', 'r'] },
      bookmarkProperties: ['a'],
    })?.schema
    assert.deepEqual(to, {
      type: 'SCHEMA',
      stream: 'sales',
      schema: {
        properties: {
          key: { type: 'integer' },
          b: {},
          m: { type: ['null', 'string'] },
          r: { type: ['null', 'integer'] },
        },
        required: ['b'],
      },
      keyProperties: ['key'],
      bookmarkProperties: ['b'],
      line: 1,
    })
  })

  it('a record that is only renamed to another substream, or passes the filter, keeps its bytes', () => {
    const map = compileMaps({ orders: { rename_to: 'sales', filter: 'record.a == 1.0' } })(schema({}))
    const given = record('{ "a" : 1.0, "a": 1 }')
    assert.equal(map?.apply(given), given)
  })

  it('filters by CEL: whole numbers by the schema, missing fields by has()', () => {
    const rows: readonly [filter: string, record: string, passes: boolean][] = [
      ['record.amount > 10', '{"amount":10.5}', true],
      ['record.amount > 10', '{"amount":9}', false],
      ['record.id % 2 == 0', '{"id":4}', true],
      ['record.id == 9007199254740993', '{"id":9007199254740993}', true],
      ['record.id == 9007199254740993', '{"id":9007199254740992}', false],
      [
        'record.tags.exists(t, t == "a") && record.address.zip.startsWith("1")',
        '{"tags":["b","a"],"address":{"zip":"12"}}',
        true,
      ],
      [
        'has(record.gone) || timestamp(record.at) >= timestamp("2024-01-01T00:00:00Z")',
        '{"at":"2024-01-02T00:00:00Z"}',
        true,
      ],
      ['record.big > 1.0', '{"big":123456789012345678901234567890.5}', true],
      ['record.name.matches("^(a+)+$")', `{"name":"${'a'.repeat(100)}b"}`, false],
    ]
    for (const [filter, text, passes] of rows)
      assert.equal(mapped({ filter }, text, { id: { type: 'integer' } }) !== undefined, passes, `${filter} on ${text}`)
  })

  it('a filter without an answer is a bad record, not a dropped one', () => {
    for (const [filter, text] of [
      ['record.amount > 10', '{"amount":null}'],
      ['record.gone == 1', '{}'],
      ['record.a', '{"a":"text"}'],
    ] as const)
      assert.throws(() => mapped({ filter }, text), {
        code: 'VALUE_NOT_STORABLE',
        message: /line 7: stream orders.*no answer/,
      })
  })

  it('a filter that fails does not tell the value it failed on', () => {
    for (const [filter, text] of [
      ['int(record.a) > 5', '{"a":"hunter2"}'],
      ['timestamp(record.a) > timestamp("2024-01-01T00:00:00Z")', '{"a":"hunter2"}'],
      ['duration(record.a) > duration("1h")', '{"a":"hunter2"}'],
      ['record[record.a] == 1', '{"a":"hunter2"}'],
      ['record.b.matches(record.a)', '{"a":"hunter2(","b":"x"}'],
      ['bool(record.a)', '{"a":"hunter2"}'],
    ] as const)
      assert.throws(
        () => mapped({ filter }, text),
        (e: Error) => /no answer/.test(e.message) && !e.message.includes('hunter2'),
        filter,
      )
    assert.throws(() => mapped({ filter: 'record.gone == 1' }, '{}'), /field not found: gone/)
  })

  it('two substreams never become one', () => {
    const other = { ...schema({}), stream: 'sales' }
    for (const [first, second] of [
      [schema({}), other],
      [other, schema({})],
    ] as const) {
      const map = compileMaps({ orders: { rename_to: 'sales' } })
      map(first)
      map(first)
      assert.throws(() => map(second), { code: 'CONFIG_INVALID', message: /orders.*sales|sales.*orders/ })
    }
    const swapped = compileMaps({ orders: { rename_to: 'sales' }, sales: { rename_to: 'orders' } })
    assert.equal(swapped(schema({}))?.schema.stream, 'sales')
    assert.equal(swapped(other)?.schema.stream, 'orders')
  })

  it('two fields never become one', () => {
    assert.throws(() => mapped({ rename: { a: 'b' } }, '{"a":1,"b":2}'), { code: 'VALUE_NOT_STORABLE' })
    assert.equal(mapped({ rename: { a: 'b', b: 'a' } }, '{"a":1,"b":2}'), '{"b":1,"a":2}')
  })

  it('* is for every substream that has no rules of its own', () => {
    const map = compileMaps({ '*': { drop: ['x'] }, orders: { drop: ['y'] } })
    assert.equal(map(schema({}))?.apply(record('{"x":1,"y":2}'))?.bytes().toString(), '{"x":1}')
    assert.equal(
      map({ ...schema({}), stream: 'other' })
        ?.apply(record('{"x":1,"y":2}'))
        ?.bytes()
        .toString(),
      '{"y":2}',
    )
    assert.equal(compileMaps({ other: {} })(schema({})), undefined)
  })

  it('a misspelt field is refused with a near name: a mask never lets its field through in clear', () => {
    for (const rules of [{ mask: { amtt: 'redact' } }, { drop: ['amtt'] }, { rename: { amtt: 'a' } }])
      assert.throws(() => mapped(rules, '{"amt":1}', { amt: {}, id: {} }), {
        code: 'CONFIG_INVALID',
        message: /amtt.*did you mean amt\?/,
      })
    const open = { ...schema({}), schema: { properties: { id: {} }, additionalProperties: true } }
    assert.ok(compileMaps({ orders: { mask: { amt: 'redact' } } })(open))
    assert.ok(compileMaps({ '*': { mask: { amt: 'redact' } } })(schema({ id: {} })))
  })

  it('a substream that has maps and did not come is told, where others came', () => {
    const map = compileMaps({ ordres: { mask: { amt: 'redact' } }, '*': {} })
    assert.deepEqual(map.unmatched?.(), [])
    map(schema({}))
    assert.deepEqual(map.unmatched?.(), ['ordres'])
  })

  it('everything that is wrong is told at once', () => {
    const config = {
      a: { renam: {}, mask: { x: 'md5' }, drop: 'x', filter: 'record.a >' },
      '*': { rename_to: 'x' },
      b: 5,
      c: { rename: { x: 'z', y: 'z' } },
    }
    assert.throws(
      () => compileMaps(config as unknown as JsonObject),
      (e: Error) => {
        for (const part of [
          '"renam"; did you mean rename',
          'mask of x',
          'list of field names',
          'cannot be read',
          'rename_to',
          'of b must be',
          'two fields to one',
        ])
          assert.ok(e.message.includes(part), `${part} is missing in ${e.message}`)
        return true
      },
    )
  })

  it('a key property is neither dropped nor made alike', () => {
    for (const rules of [{ drop: ['id'] }, { mask: { id: 'redact' } }, { mask: { id: 'last4' } }])
      assert.throws(() => compileMaps({ orders: rules })(schema({ id: {} }, ['id'])), { code: 'CONFIG_INVALID' })
    assert.ok(compileMaps({ orders: { mask: { id: 'hash' } } })(schema({ id: {} }, ['id'])))
  })
})

// Numbers were read and written anew: 12.50 became 12.5, -0 became 0, and 1e2 became 100.
it('what a map does not mask keeps its bytes, and a record that it does not change keeps all of them', () => {
  const text = '{"n":12.50,"z":-0, "e":1e2, "o":{"d":1.0},"__proto__":1,"m":1.10,"m":2.20,"secret":1.50}'
  const schema: SchemaMessage = { type: 'SCHEMA', stream: 's', schema: {}, keyProperties: [], line: 1 }
  const apply = (rules: JsonObject): string | undefined => {
    const buffer = Buffer.from(text)
    const record = new RecordMessage('s', 1, { buffer, from: 0, to: buffer.length })
    return compileMaps({ s: rules })(schema)?.apply(record)?.bytes().toString()
  }
  assert.equal(apply({ drop: ['nosuch'] }), text)
  assert.equal(
    apply({ rename: { n: 'amount' }, drop: ['secret'] }),
    '{"amount":12.50,"z":-0,"e":1e2,"o":{"d":1.0},"__proto__":1,"m":2.20}',
  )
  assert.equal(apply({ drop: ['n', 'z', 'e', 'o', '__proto__', 'm', 'secret'] }), '{}')
})
