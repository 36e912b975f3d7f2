import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type JsonObject, isMillraceError, RejectedRecords } from '@millrace/sdk'
import { type Destination, Place, recordsOf, schemaOf } from './destination.ts'

const number = (text: string | null | undefined): number => Number(text)

export const valueTests = (d: Destination): void => {
  describe(`${d.name}: values`, () => {
    test('columns have the types that the schema asks for', async () => {
      await using place = await Place.make(d)
      const asked: readonly (readonly [string, JsonObject | boolean, keyof Destination['types']])[] = [
        ['bool', { type: ['null', 'boolean'] }, 'boolean'],
        ['int', { type: 'integer' }, 'integer'],
        ['num', { type: ['null', 'number'] }, 'float'],
        ['cents', { type: 'number', multipleOf: 0.01 }, 'decimal(2)'],
        ['dec', { type: ['null', 'string'], format: 'singer.decimal' }, 'decimal'],
        // A number of any digits is exact from the beginning where that is a number there, and not text.
        [
          'amount',
          { type: ['null', 'number'], format: 'singer.decimal' },
          d.types.decimal === 'numeric' ? 'decimal' : 'float',
        ],
        ['str', { type: 'string', maxLength: 3 }, 'text'],
        ['stamp', { type: ['string', 'null'], format: 'date-time' }, 'timestamp'],
        ['day', { type: 'string', format: 'date' }, 'date'],
        ['hour', { type: 'string', format: 'time' }, 'time'],
        ['bin', { type: 'string', format: 'binary' }, 'text'],
        ['obj', { type: 'object', additionalProperties: true }, 'json'],
        ['arr', { type: ['null', 'array'], items: {} }, 'json'],
        ['any', {}, 'json'],
        ['yes', true, 'json'],
        ['either', { anyOf: [{ type: 'string', format: 'date-time' }, { type: 'null' }] }, 'timestamp'],
        ['loose', { anyOf: [{ type: 'string', format: 'date-time' }, { type: 'string' }] }, 'text'],
        ['mixed', { oneOf: [{ type: 'integer' }, { type: 'number' }] }, 'float'],
        ['textual', { type: ['integer', 'string'] }, 'text'],
        ['both', { allOf: [{ type: 'integer' }, { minimum: 3 }] }, 'integer'],
        ['words', { enum: ['a', 'b', null] }, 'text'],
        ['one', { const: 7 }, 'integer'],
        ['ref', { $ref: '#/definitions/money' }, 'float'],
        ['sumOrObject', { type: ['string', 'object'] }, 'json'],
      ]
      const properties = Object.fromEntries([
        ['id', { type: 'integer' }],
        ...asked.map(([name, schema]) => [name, schema]),
      ]) as JsonObject
      await place.run(schemaOf('typed', properties, ['id'], { definitions: { money: { type: 'number' } } }), [])
      const { columns } = await place.table('typed')
      assert.deepEqual(
        columns.map((c) => [c.name, c.type]),
        [['id', d.types.integer], ...asked.map(([name, , type]) => [name, d.types[type]])],
      )
    })

    test('a schema without any property gets its columns from the records', async () => {
      await using place = await Place.make(d)
      await place.run({ ...schemaOf('bare', {}, []), schema: {} }, ['{"a":1,"b":"x"}', '{"c":true}', '{}'])
      assert.deepEqual(await place.columnNames('bare'), ['_sdc_sequence', 'a', 'b', 'c'])
      assert.equal((await place.rows('bare')).length, 3)
    })

    // They got the digits of the nearest double: 1e25 was 10000000000000000905969664, and another key than itself written out.
    test('a whole number written with an exponent has its own digits, also as a key', async () => {
      await using place = await Place.make(d)
      const schema = schemaOf('whole', { k: { type: 'integer' }, i: { type: 'integer' } }, ['k'])
      await place.run(schema, ['{"k":1e25,"i":-1.25e25}', '{"k":4.611686018427388e18,"i":1e3}'])
      await place.run(schema, ['{"k":10000000000000000000000000,"i":1e22}'])
      assert.deepEqual((await place.rows('whole')).map((r) => r.join()).toSorted(), [
        '10000000000000000000000000,10000000000000000000000',
        '4611686018427388000,1000',
      ])
      await place.run(schema, ['{"k":1e25,"i":-1.25e25}'])
      const rows = await place.rows('whole')
      assert.equal(rows.find((r) => r[0]?.endsWith('0000'))?.[1], '-12500000000000000000000000')
    })

    test('a stream without a schema gets typed columns from its first records', async () => {
      await using place = await Place.make(d)
      const hello = { ...schemaOf('hello', {}, ['id']), schema: {}, inferred: true }
      await place.run(hello, ['{"id":1,"value":"world"}', '{"id":2,"value":"again","n":1.5,"o":{"a":1}}'])
      await place.run(hello, ['{"id":2,"value":"third","more":true}'])
      const { columns, rows } = await place.table('hello')
      assert.deepEqual(
        columns.map((c) => [c.name, c.type]),
        [
          ['id', d.types.integer],
          ['value', d.types.text],
          ['n', d.types.float],
          ['o', d.types.json],
          ['more', d.types.boolean],
        ],
      )
      assert.deepEqual(
        rows.map((r) => r.slice(0, 2)),
        [
          ['1', 'world'],
          ['2', 'third'],
        ],
      )
    })

    test('decimals of a scale arrive digit for digit; one of more digits makes the column wider', async () => {
      await using place = await Place.make(d)
      const schema = schemaOf('money', {
        id: { type: 'integer' },
        cents: { type: ['null', 'number'], multipleOf: 0.01 },
      })
      const texts = Array.from({ length: 3000 }, (_, i) => {
        const digits = String((BigInt(i) * 7_919_263_147_389n) % 10n ** BigInt(1 + (i % 12))).padStart(3, '0')
        return `${i % 3 === 0 ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`
      })
      await place.run(
        schema,
        texts.map((text, i) => `{"id":${i},"cents":${text}}`),
      )
      const arrived = async (): Promise<unknown[]> => (await place.rows('money')).map((r) => number(r[1]) + 0)
      assert.deepEqual(
        await arrived(),
        texts.map((text) => Number(text) + 0),
      )
      await place.run(schema, ['{"id":3000,"cents":1.005}', '{"id":3001,"cents":5}'])
      assert.deepEqual((await arrived()).slice(3000), [1.005, 5])
    })

    test('numbers arrive digit for digit, by bytes and by value', async () => {
      const properties: JsonObject = {
        id: { type: 'integer' },
        big: { type: 'integer' },
        num: { type: 'number' },
        dec: { type: 'string', format: 'singer.decimal' },
      }
      const lines = [
        '{"id":1,"big":9007199254740993,"num":0.1,"dec":"1.10"}',
        '{"id":2,"big":9223372036854775807,"num":1e300,"dec":"123456789012345678901234567890.123456789"}',
        '{"id":3,"big":-9223372036854775808,"num":-5.5e-7}',
        '{"id":4,"big":1.0,"num":12}',
      ]
      await using place = await Place.make(d)
      await place.run(schemaOf('n', properties), lines)
      const rows = await place.rows('n')
      assert.deepEqual(
        rows.map((r) => r[1]),
        ['9007199254740993', '9223372036854775807', '-9223372036854775808', '1'],
      )
      assert.deepEqual(
        rows.map((r) => number(r[2])),
        [0.1, 1e300, -5.5e-7, 12],
      )
      assert.deepEqual(
        rows.map((r) => r[3]),
        ['1.10', '123456789012345678901234567890.123456789', null, null],
      )
      await place.run(schemaOf('n', properties), ['{"id":5,"big":123456789012345678901234567890}'])
      await place.run(schemaOf('n', properties), ['{"id":6,"num":0.12345678901234567890123456789}'])
      await place.run(schemaOf('n', properties), [`{"id":7,"big":${'9'.repeat(60)}}`])
      const wide = await place.rows('n')
      assert.deepEqual(
        wide.map((r) => r[1]),
        [...rows.map((r) => r[1]), '123456789012345678901234567890', null, '9'.repeat(60)],
      )
      assert.equal(wide[5]?.[2], '0.12345678901234567890123456789')
      assert.deepEqual(
        wide.slice(0, 4).map((r) => number(r[2])),
        [0.1, 1e300, -5.5e-7, 12],
      )
    })

    test('an integer beyond 2^53 and a fraction in one column: both stay', async () => {
      await using place = await Place.make(d)
      const schema = schemaOf('m', { id: { type: 'integer' }, v: { type: 'integer' } })
      await place.run(schema, ['{"id":1,"v":9007199254740993}'])
      await place.run(schema, ['{"id":2,"v":1.5}', '{"id":3,"v":9007199254740995}'])
      assert.deepEqual(
        (await place.rows('m')).map((r) => r[1]),
        ['9007199254740993', '1.5', '9007199254740995'],
      )
    })

    test('times keep their microseconds; what is no plain time is kept as it came', async () => {
      await using place = await Place.make(d)
      const schema = schemaOf('t', { id: { type: 'integer' }, at: { type: 'string', format: 'date-time' } })
      await place.run(schema, ['{"id":1,"at":"2024-02-29T23:59:59.123456Z"}', '{"id":2,"at":"2024-01-01T00:00:00Z"}'])
      assert.match((await place.rows('t'))[0]?.[1] ?? '', /^2024-02-29.23:59:59\.123456/)
      await place.run(schema, [
        '{"id":3,"at":"2024-01-01T00:00:00.123456789Z"}',
        '{"id":4,"at":"yesterday"}',
        '{"id":5,"at":"2023-02-29T00:00:00Z"}',
      ])
      const rows = await place.rows('t')
      assert.match(rows[0]?.[1] ?? '', /^2024-02-29.23:59:59\.123456/)
      assert.deepEqual(
        rows.slice(2).map((r) => r[1]),
        ['2024-01-01T00:00:00.123456789Z', 'yesterday', '2023-02-29T00:00:00Z'],
      )
    })

    test('text of every kind comes back as it was', async () => {
      const texts = [
        '',
        'a"b\\c',
        'tab\t new\nline',
        ...(d.loses?.includes('nul') === true ? [] : ['nul\u0000inside']),
        '東京 🚚',
        "it's",
        '\u2028',
        'null',
        '1',
        'x'.repeat(100_000),
      ]
      for (const as of [(o: JsonObject) => JSON.stringify(o), (o: JsonObject) => o] as const) {
        await using place = await Place.make(d)
        await place.run(
          schemaOf('s', { id: { type: 'integer' }, s: { type: 'string' } }),
          texts.map((s, id) => as({ id, s })),
        )
        assert.deepEqual(
          (await place.rows('s')).map((r) => r[1]),
          texts,
        )
      }
      await using place = await Place.make(d)
      await place.run(schemaOf('s', { id: { type: 'integer' }, s: { type: 'string' } }), [
        '{"id":1,"s":"\\ud83d\\ude00 \\u00e9"}',
      ])
      assert.equal((await place.rows('s'))[0]?.[1], '😀 é')
    })

    test('half a surrogate pair is refused by record, and the session goes on', async () => {
      await using place = await Place.make(d)
      const session = await place.open()
      await session.declare(schemaOf('s', { id: { type: 'integer' }, s: { type: 'string' } }))
      const batch = recordsOf('s', ['{"id":1,"s":"fine"}', '{"id":2,"s":"bad \\ud800"}', '{"id":3,"s":"fine too"}'])
      await assert.rejects(session.write('s', batch), (e: unknown) => {
        assert.ok(e instanceof RejectedRecords)
        assert.deepEqual(
          e.rejected.map((r) => [r.record, isMillraceError(r.error) && r.error.code]),
          [[batch[1], 'VALUE_NOT_STORABLE']],
        )
        assert.match(e.rejected[0]?.error.message ?? '', /line 3: stream s, field s/)
        return true
      })
      await session.write(
        's',
        batch.filter((_, i) => i !== 1),
      )
      await session.flush()
      await session[Symbol.asyncDispose]()
      assert.deepEqual(
        (await place.rows('s')).map((r) => r[0]),
        ['1', '3'],
      )
    })

    test('values that the schema did not promise widen the column and lose nothing', async () => {
      await using place = await Place.make(d)
      const schema = schemaOf('w', { id: { type: 'integer' }, v: { type: 'integer' } })
      await place.run(schema, [
        '{"id":1,"v":5}',
        '{"id":2,"v":"five"}',
        '{"id":3,"v":{"a":[1,2]}}',
        '{"id":4,"v":true}',
      ])
      assert.deepEqual(
        (await place.rows('w')).map((r) => r[1]),
        ['5', 'five', '{"a":[1,2]}', 'true'],
      )
      assert.equal(place.warnings.filter((w) => w.includes('does not fit')).length, 1)
    })

    test('bytes and values give the same table', async () => {
      const properties: JsonObject = {
        id: { type: 'integer' },
        a: { type: ['null', 'string'] },
        b: { type: 'number' },
        c: { type: 'boolean' },
        e: { type: 'string', format: 'date-time' },
        f: { type: ['object', 'null'] },
        g: { type: 'string', format: 'date' },
        h: {},
      }
      let seed = 7
      const random = (n: number): number => {
        seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
        return (seed >>> 8) % n
      }
      const records: JsonObject[] = Array.from({ length: 500 }, (_, i) => ({
        ...(random(2) === 0 ? { e: new Date(random(2 ** 30) * 1000).toISOString() } : {}),
        id: i % 400,
        a: [null, 'x', 'ü\n"', 'back\\slash', '🚚'][random(5)] ?? null,
        b: [1, -1.25, 1e21, 0.1 + 0.2, 123456.789][random(5)] ?? 0,
        c: random(2) === 0,
        f: random(3) === 0 ? null : { k: random(1000), z: ['q', { y: 1.5 }], 'ke"y': null },
        ...(random(3) === 0 ? {} : { g: `2024-0${1 + random(9)}-1${random(10)}` }),
        h: [[1, 'a'], { b: 2 }, 'text', 5, true, null][random(6)] ?? null,
      }))
      const tables = []
      for (const batch of [
        records,
        records.map((r) => JSON.stringify(r)),
        records.map((r) => JSON.stringify(r).replaceAll('":', '" : ').replaceAll(',"', ' , "')),
      ]) {
        await using place = await Place.make(d)
        await place.run(schemaOf('same', properties), batch)
        tables.push(
          (await place.rows('same')).map((row) =>
            row.map((v) => (v !== null && /^[[{]/.test(v) ? JSON.stringify(JSON.parse(v)) : v)),
          ),
        )
      }
      assert.equal(tables[0]?.length, 400)
      assert.deepEqual(tables[1], tables[0])
      assert.deepEqual(tables[2], tables[0])
    })

    test('of a key that comes twice the last wins, in one batch, in one flush and later', async () => {
      await using place = await Place.make(d)
      const schema = schemaOf('k', { a: { type: 'integer' }, b: { type: 'string' }, v: { type: 'integer' } }, [
        'a',
        'b',
      ])
      {
        await using session = await place.open()
        await session.declare(schema)
        await session.write(
          'k',
          recordsOf('k', ['{"a":1,"b":"x","v":1}', '{"a":1,"b":"y","v":2}', '{"a":1,"b":"x","v":3}']),
        )
        await session.write('k', recordsOf('k', [{ a: 1, b: 'y', v: 4 }]))
        await session.flush()
      }
      assert.deepEqual((await place.rows('k')).map((r) => r.join()).sort(), ['1,x,3', '1,y,4'])
      await place.run(schema, ['{"a":1,"b":"x"}', '{"b":"z","a":2,"v":6}'])
      // The whole record replaces the row: what it does not name is null.
      assert.deepEqual((await place.rows('k')).map((r) => r.join()).sort(), ['1,x,', '1,y,4', '2,z,6'])
    })

    test('a record without its key is refused', async () => {
      await using place = await Place.make(d)
      const session = await place.open()
      await session.declare(schemaOf('k', { id: { type: 'integer' }, v: { type: 'integer' } }))
      for (const bad of ['{"v":1}', '{"id":null,"v":1}', {}])
        await assert.rejects(
          session.write('k', recordsOf('k', [bad])),
          (e: unknown) =>
            e instanceof RejectedRecords &&
            isMillraceError(e.rejected[0]?.error) &&
            e.rejected[0].error.code === 'RECORD_KEY_MISSING',
        )
      await session.flush()
      await session[Symbol.asyncDispose]()
      assert.deepEqual(await place.rows('k'), [])
    })

    test('without keys, or with mode append, every record is a row', async () => {
      await using place = await Place.make(d)
      await place.run(schemaOf('free', { id: { type: 'integer' } }, []), ['{"id":1}', '{"id":1}'])
      await place.run(schemaOf('log', { id: { type: 'integer' } }), ['{"id":1}', '{"id":1}'], { mode: 'append' })
      assert.equal((await place.rows('free')).length, 2)
      assert.equal((await place.rows('log')).length, 2)
    })
  })
}
