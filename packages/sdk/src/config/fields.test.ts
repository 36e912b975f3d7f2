import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytes, type ConfigOf, choice, type Field, flag, json, list, number, text, whole } from './fields.ts'

const doc = 'A setting.'

describe('fields', () => {
  const good: readonly (readonly [string, Field<unknown>, unknown, unknown])[] = [
    ['text', text({ doc }), 'x', 'x'],
    ['text from a number', text({ doc }), 12, '12'],
    ['a whole number', whole({ doc }), 5, 5],
    ['a whole number from text', whole({ doc }), ' 5 ', 5],
    ['the limits themselves', whole({ doc, min: 1, max: 3 }), 3, 3],
    ['a number', number({ doc }), '-1.5e3', -1500],
    ['true', flag({ doc }), true, true],
    ['yes', flag({ doc }), 'Yes', true],
    ['a flag without a value', flag({ doc }), '', true],
    ['off', flag({ doc }), 'off', false],
    ['0', flag({ doc }), 0, false],
    ['a choice', choice(['a', 'b'], { doc }), 'b', 'b'],
    ['a list', list({ doc }), ['a', 'b,c'], ['a', 'b,c']],
    ['a list from text', list({ doc }), ' a, b ,,', ['a', 'b']],
    ['JSON', json({ doc }), { a: 1 }, { a: 1 }],
    ['JSON from text', json({ doc }), '{"a":1}', { a: 1 }],
    ['bytes', bytes({ doc }), 1024, 1024],
    ['MiB', bytes({ doc }), '64MiB', 64 * 1024 ** 2],
    ['MB, apart', bytes({ doc }), ' 1.5 mb ', 1_500_000],
  ]
  for (const [name, field, raw, value] of good) it(`take ${name}`, () => assert.deepEqual(field.parse(raw), value))

  const bad: readonly (readonly [string, Field<unknown>, unknown, string])[] = [
    ['an object for a text', text({ doc }), {}, 'must be text'],
    ['a fraction for a whole number', whole({ doc }), 1.5, 'must be a whole number'],
    ['an empty text for a number', number({ doc }), ' ', 'must be a number'],
    ['infinity', number({ doc }), 'Infinity', 'must be a number'],
    ['more than a double can count', whole({ doc }), '9007199254740993', 'must be a whole number'],
    ['one too few', whole({ doc, min: 1, max: 3 }), 0, 'must be a whole number from 1 to 3'],
    ['one below the least', whole({ doc, min: 1 }), 0, 'must be a whole number of at least 1'],
    ['one above the most', number({ doc, max: 1 }), 1.1, 'must be a number of at most 1'],
    ['maybe', flag({ doc }), 'maybe', 'must be true or false'],
    ['another word', choice(['a', 'b'], { doc }), 'c', 'must be one of a, b'],
    ['a list of numbers', list({ doc }), [1], 'must be a list of texts (or one text with commas)'],
    ['an array for JSON', json({ doc }), '[]', 'must be a JSON object'],
    ['half JSON', json({ doc }), '{', 'must be a JSON object'],
    ['an unknown unit', bytes({ doc }), '5 parsecs', 'must be a size in bytes, such as 64MiB'],
    ['two points', bytes({ doc }), '1.2.3', 'must be a size in bytes, such as 64MiB'],
    ['too many bytes', bytes({ doc, max: 10 }), '1KB', 'must be a size in bytes, such as 64MiB, of at most 10'],
  ]
  for (const [name, field, raw, message] of bad)
    it(`refuse ${name}`, () => assert.throws(() => field.parse(raw), { message }))

  it('are required unless they have a default or are optional', () => {
    assert.equal(text({ doc }).required, true)
    assert.equal(text({ doc, optional: true }).required, false)
    const withDefault = whole({ doc, default: 0 })
    assert.deepEqual([withDefault.required, withDefault.default], [false, 0])
  })

  it('say what they are, for --help and for editors', () => {
    const field = whole({ doc, default: 5, min: 1, max: 9, env: ['N'], aliases: ['n'], example: '7', secret: true })
    assert.deepEqual(
      [field.kind, field.accepts, field.env, field.aliases, field.example, field.secret],
      ['whole', 'a whole number from 1 to 9', ['N'], ['n'], '7', true],
    )
    assert.deepEqual(field.jsonSchema, { type: 'integer', minimum: 1, maximum: 9, description: doc })
    assert.deepEqual(choice(['a', 'b'], { doc }).jsonSchema, { enum: ['a', 'b'], description: doc })
  })

  it('give the types of the settings', () => {
    const spec = {
      a: text({ doc }),
      b: whole({ doc, optional: true }),
      c: choice(['x', 'y'], { doc, default: 'x' }),
      d: flag({ doc, default: false }),
    }
    const config: ConfigOf<typeof spec> = { a: 'x', b: undefined, c: 'y', d: true }
    // @ts-expect-error: z is not among the words
    const wrong: ConfigOf<typeof spec> = { ...config, c: 'z' }
    // @ts-expect-error: a required text cannot be left undefined
    const missing: ConfigOf<typeof spec> = { ...config, a: undefined }
    assert.ok(wrong && missing)
  })
})
