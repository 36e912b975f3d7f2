import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { JsonObject } from '@millrace/sdk'
import { multipleCheck } from './keywords.ts'
import { compileSchema } from './validation.ts'

const compile = (schema: unknown, keyProperties: readonly string[] = []): ReturnType<typeof compileSchema> =>
  compileSchema({ type: 'SCHEMA', stream: 's', schema: schema as JsonObject, keyProperties, line: 3 })
/** What the check says of a record: nothing, or `field rule`. */
const says = (schema: unknown, record: unknown, keys: readonly string[] = []): string | undefined => {
  const violation = compile(schema, keys)(record as JsonObject)
  return violation === undefined ? undefined : `${violation.field}: ${violation.rule}`
}
const of = (x: unknown): unknown => ({ type: 'object', properties: { x } })

describe('what a violation says', () => {
  const address = { type: 'object', properties: { zip: { type: 'string' } }, required: ['zip'] }
  const rows: readonly [name: string, schema: unknown, record: unknown, said: string | undefined][] = [
    ['a nested field', { properties: { address } }, { address: { zip: 5 } }, 'address.zip: must be string'],
    ['a missing nested field', { properties: { address } }, { address: {} }, 'address.zip: is missing'],
    [
      'an item',
      of({ type: 'array', items: { type: ['null', 'string'] } }),
      { x: ['a', 5] },
      'x.1: must be null or string',
    ],
    [
      'a field too many',
      { properties: {}, additionalProperties: false },
      { 'a/b~c': 1 },
      'a/b~c: is not in the schema, which allows no other fields',
    ],
    ['an enum', of({ enum: ['a'] }), { x: 'secret' }, 'x: must be one of the values that the schema lists'],
    ['a length', of({ type: 'string', maxLength: 1 }), { x: 'ab' }, 'x: must have at most 1 character'],
    [
      'forms',
      of({ anyOf: [{ type: 'integer' }, { type: 'boolean' }] }),
      { x: 'ab' },
      'x: fits none of the forms that the schema allows',
    ],
    [
      'one form or null',
      of({ anyOf: [{ type: 'string', format: 'date-time' }, { type: 'null' }] }),
      { x: 'ab' },
      'x: must be a date and time',
    ],
    ['a line break in a name', { additionalProperties: { type: 'string' } }, { 'a\nb': 1 }, 'a\\nb: must be string'],
    ['a valid record', { properties: { address } }, { address: { zip: '1' }, more: 1 }, undefined],
  ]
  for (const [name, schema, record, said] of rows) it(name, () => assert.equal(says(schema, record), said))

  it('never holds the value', () => {
    const secret = 'hunter2hunter2'
    for (const x of [
      { type: 'integer' },
      { enum: [1] },
      { pattern: '^x' },
      { format: 'date' },
      { maxLength: 2 },
      { not: {} },
      { const: 2 },
    ])
      assert.ok(!String(says(of(x), { x: secret })).includes(secret))
  })
})

describe('key properties', () => {
  it('must be there and not null', () => {
    const rule = 'id: is a key property and must not be missing or null'
    assert.equal(says({}, {}, ['id']), rule)
    assert.equal(says({ properties: { id: { type: ['null', 'integer'] } } }, { id: null }, ['id']), rule)
    assert.equal(says({}, { id: 0 }, ['id']), undefined)
    assert.equal(says({}, {}, ['toString']), 'toString: is a key property and must not be missing or null')
  })
})

describe('drafts', () => {
  const above5 = [{ x: 5 }, { x: 6 }] as const
  it('4: exclusive limits are flags, by $schema or by their shape', () => {
    for (const $schema of ['http://json-schema.org/draft-04/schema#', undefined]) {
      const schema = {
        ...(of({ minimum: 5, exclusiveMinimum: true }) as object),
        ...($schema === undefined ? {} : { $schema }),
      }
      assert.deepEqual(
        above5.map((r) => says(schema, r)),
        ['x: must be more than 5', undefined],
      )
    }
    assert.equal(
      says({ $schema: 'http://json-schema.org/draft-04/schema#', properties: { x: { const: 1 } } }, { x: 2 }),
      undefined,
    )
  })
  it('6 and 7: exclusive limits are numbers; const, contains, if', () => {
    assert.deepEqual(
      above5.map((r) => says(of({ exclusiveMinimum: 5 }), r)),
      ['x: must be more than 5', undefined],
    )
    assert.equal(says(of({ const: 1 }), { x: 2 }), 'x: must be the one value that the schema allows')
    assert.ok(says(JSON.parse('{"if":{"required":["a"]},"then":{"required":["b"]}}'), { a: 1 }) !== undefined)
    assert.equal(
      says({ definitions: { n: { type: 'integer' } }, ...(of({ $ref: '#/definitions/n' }) as object) }, { x: 'a' }),
      'x: must be integer',
    )
  })
  it('2019-09: dependentRequired, unevaluatedProperties, $anchor, words beside a $ref', () => {
    const $schema = 'https://json-schema.org/draft/2019-09/schema'
    assert.equal(
      says({ $schema, dependentRequired: { a: ['b'] } }, { a: 1 }),
      'b: is missing, though another field needs it',
    )
    assert.ok(
      says({ $schema, allOf: [{ properties: { a: true } }], unevaluatedProperties: false }, { a: 1, b: 1 }) !==
        undefined,
    )
    assert.equal(
      says(
        { $schema, $defs: { n: { $anchor: 'n', type: 'integer' } }, ...(of({ $ref: '#n', minimum: 5 }) as object) },
        { x: 4 },
      ),
      'x: must be at least 5',
    )
  })
  it('2020-12: prefixItems, $dynamicRef', () => {
    assert.equal(
      says(of({ prefixItems: [{ type: 'string' }], items: { type: 'integer' } }), { x: ['a', 'b'] }),
      'x.1: must be integer',
    )
    const tree = {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $dynamicAnchor: 'node',
      properties: { n: { type: 'integer' }, next: { $dynamicRef: '#node' } },
    }
    assert.equal(says(tree, { next: { next: { n: 'a' } } }), 'next.next.n: must be integer')
  })
  it('mends what hasty streamers write', () => {
    const schema = {
      type: 'object',
      required: [],
      properties: { x: { type: 'any' }, y: { type: ['string'], format: null, required: true, items: null } },
    }
    assert.equal(says(schema, { x: 1, y: 'a' }), undefined)
  })
})

describe('formats', () => {
  const dates: readonly [text: string, isGood: boolean][] = [
    ['2024-01-01T00:00:00Z', true],
    ['2024-01-01T00:00:00.123456789+02:00', true],
    ['2024-01-01 00:00:00', true],
    ['2024-01-01T00:00:00', true],
    ['2024-01-01T00:00:00+0000', true],
    ['2024-01-01 00:00:00 UTC', true],
    ['2024-01-01', true],
    ['2024-02-29T00:00:00Z', true],
    ['2023-02-29T00:00:00Z', false],
    ['0000-00-00 00:00:00', false],
    ['2024-01-01T25:00:00Z', false],
    ['2024-01-01T00:00:00.Z', false],
    ['yesterday', false],
    ['', false],
    ['2024-01-01T00:00:00Zx', false],
    ['20240101', false],
    ['2024-01-01T23:59:60Z', true],
    ['2024-01-01T10:20Z', true],
  ]
  for (const [text, isGood] of dates)
    it(`date-time ${JSON.stringify(text)} is ${isGood ? 'good' : 'bad'}`, () =>
      assert.equal(says(of({ type: 'string', format: 'date-time' }), { x: text }) === undefined, isGood))
  it('singer.decimal, date, uuid; what is not known says nothing', () => {
    for (const x of ['1E-13', '100', '-0.5', 'NaN'])
      assert.equal(says(of({ format: 'singer.decimal' }), { x }), undefined)
    assert.equal(says(of({ format: 'singer.decimal' }), { x: '1,5' }), 'x: must be decimal text')
    assert.equal(says(of({ format: 'date' }), { x: '2024-01-01T00:00:00Z' }), undefined)
    assert.equal(says(of({ format: 'date' }), { x: '2024-01-01T00:00:01Z' }), 'x: must be a date')
    assert.equal(says(of({ format: 'uuid' }), { x: 'x' }), 'x: must be a UUID')
    assert.equal(says(of({ format: 'uri', unknown: 5 }), { x: 'not a uri' }), undefined)
  })
})

describe('numbers', () => {
  it('multipleOf counts digits, not doubles', () => {
    for (const [value, step, isMultiple] of [
      [19.99, 0.01, true],
      [0.3, 0.1, true],
      [1.005, 0.01, false],
      [1e-38, 1e-38, true],
      [123456789.12, 0.01, true],
      [7, 2, false],
      [1e300, 0.001, true],
      [4.5, 1.5, true],
      [0.07, 0.01, true],
      [1e22, 7, false],
      [5e-324, 0.5, false],
      [0, 0.3, true],
    ] as const)
      assert.equal(multipleCheck(step)(value), isMultiple, `${value} of ${step}`)
  })
  it('of a scale are multiples of it, whatever their digits', () => {
    for (let scale = 1; scale <= 20; scale++) {
      const isMultiple = multipleCheck(Number(`1e-${scale}`))
      for (let i = 1n; i < 400n; i++) {
        const digits = String(((i * 7_919_263_147_389_871n) % 10n ** (i % 24n)) + i).padStart(scale + 1, '0')
        const text = `${digits.slice(0, -scale)}.${digits.slice(-scale)}`
        assert.ok(isMultiple(Number(text)) && isMultiple(-Number(text)), text)
        const beyond = `0.${digits.slice(-scale)}1`
        if (scale < 14) assert.ok(!isMultiple(Number(beyond)), beyond)
      }
    }
  })
  it('beyond a double are not refused', () => {
    const record = JSON.parse('{"x":1e999,"y":123456789012345678901234567890}') as JsonObject
    assert.equal(
      says({ properties: { x: { type: 'number', multipleOf: 0.01 }, y: { type: 'integer', minimum: 0 } } }, record),
      undefined,
    )
    assert.equal(
      says(of({ type: 'integer', maximum: 9223372036854775807n }), { x: Number('9223372036854775807') }),
      undefined,
    )
  })
})

describe('hostile schemas', () => {
  const refused = (schema: unknown, why: RegExp): void =>
    assert.throws(() => compile(schema), { code: 'SCHEMA_INVALID', message: why })
  it('are refused with their reason', () => {
    refused({ $ref: '#' }, /circles/)
    refused(
      {
        definitions: { a: { $ref: '#/definitions/b' }, b: { $ref: '#/definitions/a' } },
        allOf: [{ $ref: '#/definitions/a' }],
      },
      /circles/,
    )
    refused(of({ $ref: 'https://example.com/schema.json' }), /does not hold/)
    refused(of({ $ref: '#/definitions/none' }), /does not hold/)
    refused(of({ type: 'datetime' }), /"datetime"/)
    refused(of(5), /is no schema/)
    refused({ type: 'string' }, /top must be an object/)
    refused(of({ minLength: 'x' }), /minLength/)
    refused(of({ pattern: '(?=(a+)+$)(a+)+' }), /for ever/)
    refused({ properties: { x: { enum: ['x'.repeat(9_000_000)] } } }, /longer than/)
    let deep: unknown = {}
    for (let i = 0; i < 400; i++) deep = { properties: { x: deep } }
    refused(deep, /nested deeper/)
  })
  it('are refused when they come, not at a record, whatever keyword has the wrong kind of value', () => {
    const keywords =
      `$id $schema $anchor $defs definitions title description default examples readOnly format type properties
      required additionalProperties items maxLength minimum maximum $comment contentEncoding deprecated anyOf id`.split(
        /\s+/,
      )
    for (const keyword of keywords)
      for (const value of [5, -1, 'x', '#', null, true, [], [5], [[]], {}, { x: 5 }, { x: null }])
        for (const schema of [{ [keyword]: value }, of({ [keyword]: value })]) {
          let check: ReturnType<typeof compile>
          try {
            check = compile(schema)
          } catch (e) {
            assert.equal((e as { code?: unknown }).code, 'SCHEMA_INVALID', JSON.stringify(schema))
            continue
          }
          check({ x: { y: 1 } })
        }
  })
  it('a loop behind a field is told at the record that has it', () => {
    const check = compile({
      definitions: { a: { $ref: '#/definitions/a' } },
      properties: { x: { $ref: '#/definitions/a' } },
    })
    assert.equal(check({}), undefined)
    assert.throws(() => check({ x: 1 }), { code: 'SCHEMA_INVALID' })
  })
  it('references that double at every level are stopped', () => {
    const definitions: Record<string, unknown> = {}
    for (let i = 0; i < 40; i++)
      definitions[`d${i}`] = { allOf: [{ $ref: `#/definitions/d${i + 1}` }, { $ref: `#/definitions/d${i + 1}` }] }
    definitions['d40'] = {}
    refused({ definitions, $ref: '#/definitions/d0' }, /circles/)
  })
  it('a recursive schema is a good schema', () => {
    const schema = { properties: { v: { type: 'integer' }, left: { $ref: '#' }, right: { $ref: '#' } } }
    assert.equal(says(schema, { left: { right: { v: 'a' } } }), 'left.right.v: must be integer')
  })
  it('10,000 properties work', { timeout: 60_000 }, () => {
    const properties = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, i) => [`p${i}`, { type: ['null', 'string'] }]),
    )
    assert.equal(says({ properties }, { p9999: 5 }), 'p9999: must be null or string')
  })
  it('100,000 items that must be unique are compared, not each with each', { timeout: 60_000 }, () => {
    const x = Array.from({ length: 100_000 }, (_, i) => ({ i }))
    assert.equal(says(of({ uniqueItems: true }), { x }), undefined)
    assert.equal(says(of({ uniqueItems: true }), { x: [...x, { i: 5 }] }), 'x: must have no two equal items')
  })
  it('names that every object has are names like others', () => {
    const schema = { properties: { constructor: { type: 'string' } }, required: ['toString'] }
    assert.equal(says(schema, {}), 'toString: is missing')
    assert.equal(says(schema, JSON.parse('{"toString":1,"__proto__":5}')), undefined)
    assert.equal(
      says(JSON.parse('{"properties":{"__proto__":{"type":"string"},"x":{"type":"string"}}}'), { x: 1 }),
      'x: must be string',
    )
  })
  it('__proto__ is a property like others', () => {
    // Its schema was passed over: a record with {"__proto__":5} was stored.
    const schema = JSON.parse('{"properties":{"id":{},"__proto__":{"type":"string"}},"additionalProperties":false}')
    assert.equal(says(schema, JSON.parse('{"id":1,"__proto__":5}')), '__proto__: must be string')
    assert.equal(says(schema, JSON.parse('{"id":1,"__proto__":"x"}')), undefined)
    const inside = JSON.parse('{"properties":{"a":{"properties":{"__proto__":{"type":"integer"}}}}}')
    assert.equal(says(inside, JSON.parse('{"a":{"__proto__":"x"}}')), 'a.__proto__: must be integer')
  })
})

it('one schema is compiled once', () => {
  assert.equal(compile(of({ type: 'string' })), compile(of({ type: 'string' })))
  assert.notEqual(compile(of({ type: 'string' })), compile(of({ type: 'string' }), ['x']))
})
