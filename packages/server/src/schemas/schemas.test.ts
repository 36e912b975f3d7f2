import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SchemaType } from '../control/types.ts'
import { code } from '../streams/testing/world.ts'
import { schemaCompiler } from './index.ts'

const compiled = async (type: SchemaType, schema: unknown) => {
  const check = await schemaCompiler.compile({ type, text: JSON.stringify(schema) })
  return (text: string) => check?.(Buffer.from(text))
}
const refused = (type: SchemaType, schema: unknown, why: RegExp) =>
  assert.rejects(compiled(type, schema), (e: Error) => {
    assert.match(e.message, why)
    return code('SCHEMA_INVALID')(e)
  })

describe('JSON Schema of a stream', () => {
  it('says what does not conform and where, without the value', async () => {
    const check = await compiled('JSON', {
      $schema: 'http://json-schema.org/draft-07/schema#',
      type: 'object',
      properties: { Doors: { type: 'string' }, tags: { type: 'array', uniqueItems: true } },
      required: ['Doors'],
    })
    assert.equal(check('{"Doors":"4","more":1}'), undefined)
    assert.equal(check('{"Doors":4}'), '/Doors must be string')
    assert.equal(check('{"tags":[]}'), "(top) must have required property 'Doors'")
    assert.equal(check('{"Doors":"4","tags":[{"a":1,"b":2},{"b":2,"a":1.0}]}'), '/tags must NOT have duplicate items')
    assert.equal(check('{"Doors"'), 'is not JSON')
  })

  for (const draft of [
    'http://json-schema.org/draft-06/schema#',
    'https://json-schema.org/draft/2019-09/schema',
    'https://json-schema.org/draft/2020-12/schema',
    undefined,
  ])
    it(`follows references within it, and counts nothing of ours as a property (${draft ?? 'no $schema'})`, async () => {
      const check = await compiled('JSON', {
        ...(draft === undefined ? {} : { $schema: draft }),
        definitions: {
          node: { type: 'object', properties: { child: { $ref: '#/definitions/node' } }, additionalProperties: false },
        },
        $ref: '#/definitions/node',
      })
      assert.equal(check('{"child":{"child":{}}}'), undefined)
      assert.match(check('{"child":{"millraceStep":true}}') ?? '', /must NOT have additional properties/)
    })

  it('refuses what could never be checked', async () => {
    await refused('JSON', { $id: 'a b', type: 'object' }, /\$id "a b"/)
    await refused('JSON', { $ref: '#/definitions/none' }, /resolve reference/)
    await refused('JSON', { $ref: 'https://example.org/x.json' }, /resolve reference/)
    await refused('JSON', { type: 'objet' }, /type/)
    await refused('JSON', { properties: { a: 5 } }, /properties/)
    await refused('JSON', { $schema: 'http://json-schema.org/draft-03/schema#' }, /draft 6 to 2020-12/)
    await refused('JSON', [], /no schema/)
    await refused('JSON', { pattern: '(?=a)' }, /pattern "\(\?=a\)" cannot be used/)
    await refused('JSON', { pattern: '(' }, /cannot be used/)
    await refused('JSON', { allOf: Array.from({ length: 5001 }, () => ({})) }, /more than 5000 parts/)
    await assert.rejects(schemaCompiler.compile({ type: 'JSON', text: '{' }), code('SCHEMA_INVALID'))
    let deep: object = {}
    for (let i = 0; i < 200; i++) deep = { not: deep }
    await refused('JSON', deep, /deeper/)
  })

  it('takes no longer for a hostile schema than for another', async () => {
    const pattern = await compiled('JSON', { properties: { a: { pattern: '^(a+)+$' } } })
    assert.match(pattern(JSON.stringify({ a: `${'a'.repeat(50_000)}!` })) ?? '', /\/a must match pattern/)
    const twice = (name: string) => ({ allOf: [{ $ref: `#/definitions/${name}` }, { $ref: `#/definitions/${name}` }] })
    const definitions = Object.fromEntries(
      Array.from({ length: 60 }, (_, i) => [`d${i}`, i === 59 ? {} : twice(`d${i + 1}`)]),
    )
    const bomb = await compiled('JSON', { definitions, ...twice('d0') })
    assert.equal(bomb('{}'), 'takes too long to check against the schema')
    const circle = await compiled('JSON', { definitions: { a: { $ref: '#/definitions/a' } }, $ref: '#/definitions/a' })
    assert.equal(circle('{}'), 'takes too long to check against the schema')
    const unique = await compiled('JSON', { properties: { a: { uniqueItems: true } } })
    assert.equal(unique(JSON.stringify({ a: Array.from({ length: 50_000 }, (_, i) => ({ i })) })), undefined)
    const good = await compiled('JSON', { type: 'array', items: { type: 'integer' } })
    assert.equal(good(JSON.stringify(Array.from({ length: 500_000 }, (_, i) => i))), undefined)
  })

  it('does not take names that every object has for fields', async () => {
    const check = await compiled('JSON', { required: ['constructor'], properties: { toString: { type: 'string' } } })
    assert.match(check('{}') ?? '', /constructor/)
    assert.equal(check('{"constructor":1}'), undefined)
  })
})

describe('Avro schema of a stream', () => {
  const car = {
    type: 'record',
    name: 'Car',
    namespace: 'org.example',
    fields: [
      { name: 'id', type: 'long' },
      { name: 'doors', type: 'int', default: 4 },
      {
        name: 'owner',
        type: ['null', 'string', { type: 'record', name: 'Firm', fields: [{ name: 'vat', type: 'string' }] }],
      },
      { name: 'colour', type: { type: 'enum', name: 'Colour', symbols: ['RED', 'BLUE'] }, default: 'RED' },
      { name: 'parts', type: { type: 'array', items: ['null', 'Car'] }, default: [] },
      { name: 'notes', type: { type: 'map', values: 'double' }, default: {} },
      { name: 'sum', type: { type: 'fixed', name: 'Md', size: 2 }, default: 'ab' },
      { name: 'raw', type: { type: 'bytes', logicalType: 'decimal' }, default: '' },
    ],
  }

  const table: readonly (readonly [string, string | undefined])[] = [
    ['{"id":1}', undefined],
    ['{"id":9223372036854775807,"doors":2147483647}', undefined],
    ['{"id":9223372036854775808}', '(top).id is no long'],
    ['{"id":-9223372036854775808,"doors":-2147483648}', undefined],
    ['{"id":1,"doors":2147483648}', '(top).doors is no int'],
    ['{"id":1.5}', '(top).id is no long'],
    ['{"id":"1"}', '(top).id is no long'],
    ['{"doors":1}', '(top).id is missing'],
    ['{"id":1,"owner":"x","colour":"BLUE","more":[]}', undefined],
    ['{"id":1,"owner":{"string":"x"}}', undefined],
    ['{"id":1,"owner":{"org.example.Firm":{"vat":"x"}}}', undefined],
    ['{"id":1,"owner":{"vat":"x"}}', undefined],
    ['{"id":1,"owner":{"long":5}}', '(top).owner is none of null, string, org.example.Firm'],
    ['{"id":1,"colour":"GREEN"}', '(top).colour is no symbol of org.example.Colour'],
    ['{"id":1,"parts":[null,{"id":2,"parts":[{"id":3}]}]}', undefined],
    ['{"id":1,"parts":[{"id":"x"}]}', '(top).parts[0] is none of null, org.example.Car'],
    ['{"id":1,"notes":{"a":1.5,"b":12345678901234567890}}', undefined],
    ['{"id":1,"notes":{"a":"x"}}', '(top).notes.a is no double'],
    ['{"id":1,"sum":"a\\u00ff","raw":"\\u0000"}', undefined],
    ['{"id":1,"sum":"abc"}', '(top).sum has not the 2 bytes of org.example.Md'],
    ['{"id":1,"raw":"\\u0100"}', '(top).raw is no bytes'],
    ['[]', '(top) is no record'],
    ['{"id":', 'is not JSON'],
  ]
  for (const [text, wanted] of table)
    it(`${text} ${wanted === undefined ? 'conforms' : wanted}`, async () =>
      assert.equal((await compiled('AVRO', car))(text), wanted))

  it('refuses what is no schema', async () => {
    for (const [schema, why] of [
      ['integer', /type "integer"/],
      [{ type: 'record', name: 'a b', fields: [] }, /no name/],
      [{ type: 'record', name: 'A' }, /no list of fields/],
      [
        {
          type: 'record',
          name: 'A',
          fields: [
            { name: 'x', type: 'int' },
            { name: 'x', type: 'int' },
          ],
        },
        /no name of its own/,
      ],
      [{ type: 'enum', name: 'A', symbols: ['1'] }, /no list of symbols/],
      [{ type: 'fixed', name: 'A', size: -1 }, /no size/],
      [['int', 'int'], /two branches/],
      [[], /empty/],
      [['int', ['string']], /another at once/],
      [{ type: 'array', items: 5 }, /no Avro type/],
    ] as const)
      await refused('AVRO', schema, why)
  })

  it('takes no longer for a hostile schema than for another', async () => {
    const field = (name: string) => ({ name, type: ['null', 'N'], default: null })
    const check = await compiled('AVRO', {
      type: 'record',
      name: 'N',
      fields: [field('a'), { name: 'b', type: 'int' }],
    })
    let value: object = { b: 'x' }
    for (let i = 0; i < 400; i++) value = { a: value, b: 1 }
    assert.notEqual(check(JSON.stringify(value)), undefined)
  })
})

describe('a schema of Great Expectations', () => {
  it('is kept where it is JSON, and nothing is checked against it', async () => {
    assert.equal(await schemaCompiler.compile({ type: 'GREAT_EXPECTATIONS', text: '{}' }), undefined)
    await assert.rejects(schemaCompiler.compile({ type: 'GREAT_EXPECTATIONS', text: 'x' }), code('SCHEMA_INVALID'))
  })
})
