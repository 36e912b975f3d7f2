import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inferSchema } from './infer.ts'
import { Decimal, type JsonObject } from './json.ts'

const field = (...values: JsonObject['x'][]): unknown =>
  (inferSchema(values.map((x) => ({ x }))) as { properties: { x: unknown } }).properties.x

describe('inferSchema', () => {
  const cases: readonly (readonly [string, JsonObject['x'][], unknown])[] = [
    ['integers', [1, 2], { type: 'integer' }],
    ['an integer, then a fraction', [1, 2.5], { type: 'number' }],
    ['a fraction, then an integer', [2.5, 1], { type: 'number' }],
    ['a bigint', [2n ** 70n], { type: 'integer' }],
    ['a Decimal', [1, new Decimal('0.12345678901234567890')], { type: 'number' }],
    ['a double beyond 2^53', [1e300], { type: 'number' }],
    ['nulls', [null], { type: 'null' }],
    ['null, then text', [null, 'x'], { type: ['null', 'string'] }],
    ['text, then null', ['x', null], { type: ['null', 'string'] }],
    ['booleans', [true, false], { type: 'boolean' }],
    ['a boolean, a text and a number', ['x', true, 1], { type: ['boolean', 'integer', 'string'] }],
    [
      'times',
      ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00.123456+02:00', null],
      { type: ['null', 'string'], format: 'date-time' },
    ],
    ['times and one text', ['2026-01-01T00:00:00Z', 'soon'], { type: 'string' }],
    ['a text, then times', ['soon', '2026-01-01T00:00:00Z'], { type: 'string' }],
    ['dates', ['2026-01-01'], { type: 'string' }],
    ['a time without a zone', ['2026-01-01T00:00:00'], { type: 'string' }],
    ['a time that is none', ['2026-13-41T25:00:00Z'], { type: 'string' }],
    ['an empty text', ['2026-01-01T00:00:00Z', ''], { type: 'string' }],
    ['arrays', [[1], [2.5, null]], { type: 'array', items: { type: ['null', 'number'] } }],
    ['an empty array', [[]], { type: 'array' }],
    [
      'objects',
      [{ a: 1 }, { b: { c: 'x' } }],
      {
        type: 'object',
        properties: { a: { type: 'integer' }, b: { type: 'object', properties: { c: { type: 'string' } } } },
      },
    ],
    [
      'arrays of objects',
      [[{ a: 1 }, { a: null }]],
      { type: 'array', items: { type: 'object', properties: { a: { type: ['null', 'integer'] } } } },
    ],
    ['an empty object', [{}], { type: 'object', properties: {} }],
  ]
  for (const [name, values, expected] of cases) it(name, () => assert.deepEqual(field(...values), expected))

  it('no records', () => assert.deepEqual(inferSchema([]), { type: 'object', properties: {} }))

  it('fields keep the order in which they came, in later batches too', () => {
    const first = inferSchema([{ b: 1, a: 1 }, { c: 1 }])
    const second = inferSchema([{ d: 1, a: 'x', b: 1 }], first)
    assert.deepEqual(Object.keys(second['properties'] as object), ['b', 'a', 'c', 'd'])
    assert.deepEqual(second['properties'], {
      b: { type: 'integer' },
      a: { type: ['integer', 'string'] },
      c: { type: 'integer' },
      d: { type: 'integer' },
    })
  })

  it('answers what it was given where nothing changed, and leaves it as it was', () => {
    const previous = inferSchema([{ id: 1, at: '2026-01-01T00:00:00Z', o: { a: [1.5, null] } }])
    const copy = structuredClone(previous)
    assert.equal(inferSchema([{ id: 2 }, { at: '2026-01-02T00:00:00Z', o: { a: [3] } }], previous), previous)
    assert.equal(inferSchema([], previous), previous)
    const wider = inferSchema([{ at: 'x' }], previous)
    assert.notEqual(wider, previous)
    assert.deepEqual(previous, copy)
    const { properties } = wider as { properties: Record<string, unknown> }
    assert.deepEqual(properties['at'], { type: 'string' })
    assert.equal(properties['o'], (previous as { properties: Record<string, unknown> }).properties['o'])
  })

  it('goes on from a schema that somebody wrote, and keeps what it says besides', () => {
    const previous = {
      $id: 'x',
      type: 'object',
      properties: { id: { type: 'string', maxLength: 5 }, any: {}, many: { anyOf: [{ type: 'string' }] } },
    }
    assert.equal(inferSchema([{ id: 'a', many: 1, any: 'x' }], previous), previous)
    assert.deepEqual(inferSchema([{ id: 1 }], previous), {
      type: 'object',
      $id: 'x',
      properties: { id: { type: ['integer', 'string'], maxLength: 5 }, any: {}, many: { anyOf: [{ type: 'string' }] } },
    })
  })

  it('takes __proto__ for a field like any other', () => {
    const record = JSON.parse('{"__proto__":{"polluted":1},"a":1}') as JsonObject
    const schema = inferSchema([record]) as { properties: object }
    assert.ok(Object.hasOwn(schema.properties, '__proto__'))
    assert.equal(inferSchema([record], schema as JsonObject), schema)
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
  })

  it('gives back the very schema where 10,000 records add nothing to it', () => {
    const records = Array.from({ length: 10_000 }, (_, i) => ({
      id: i,
      code: `ORD-${i}`,
      note: i % 3 === 0 ? null : 'lima mike delta',
      amount: i / 100,
      at: '2026-01-01T00:00:00.000Z',
      address: { city: 'x', zip: '1' },
      tags: ['a', 'b'],
    }))
    const first = inferSchema(records)
    assert.equal(inferSchema(records, first), first)
  })
})
