import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { isMillraceError, runPersister } from '@millrace/sdk'
import { asKept, type Destination, Place, recordsOf, schemaOf } from './destination.ts'

const int = { type: 'integer' }
const str = { type: 'string' }

export const evolutionTests = (d: Destination): void => {
  describe(`${d.name}: schemas that change`, () => {
    test('new columns are added, missing ones stay', async () => {
      await using place = await Place.make(d)
      await place.run(schemaOf('e', { id: int, old: str }), ['{"id":1,"old":"a"}'])
      await place.run(schemaOf('e', { id: int, fresh: str }), ['{"id":2,"fresh":"b"}'])
      assert.deepEqual(await place.columnNames('e'), ['id', 'old', 'fresh'])
      assert.deepEqual(await place.rows('e'), [
        ['1', 'a', null],
        ['2', null, 'b'],
      ])
    })

    test('columns widen with what they hold, within one flush too', async () => {
      await using place = await Place.make(d)
      const session = await place.open()
      const steps = [
        [{ type: 'integer' }, '{"id":1,"v":7}'],
        [{ type: 'number' }, '{"id":2,"v":7.25}'],
        [{ type: 'string' }, '{"id":3,"v":"seven"}'],
        [{ type: 'integer' }, '{"id":4,"v":8}'],
      ] as const
      for (const [v, record] of steps) {
        await session.declare(schemaOf('e', { id: int, v }))
        await session.write('e', recordsOf('e', [record]))
      }
      await session.flush()
      await session[Symbol.asyncDispose]()
      const rows = await place.rows('e')
      assert.equal(Number(rows[0]?.[1]), 7)
      assert.deepEqual(
        rows.slice(1).map((r) => r[1]),
        ['7.25', 'seven', '8'],
      )
      assert.equal((await place.table('e')).columns[1]?.type, d.types.text)
    })

    test('every pair of types can follow each other', async () => {
      const samples: readonly (readonly [string, object, string, string])[] = [
        ['boolean', { type: 'boolean' }, 'true', 'true'],
        ['integer', { type: 'integer' }, '12', '12'],
        ['float', { type: 'number' }, '1.5', '1.5'],
        ['decimal', { type: 'string', format: 'singer.decimal' }, '"3.14"', '3.14'],
        ['text', { type: 'string' }, '"word"', 'word'],
        ['timestamp', { type: 'string', format: 'date-time' }, '"2024-05-06T07:08:09Z"', '2024-05-06'],
        ['date', { type: 'string', format: 'date' }, '"2024-05-06"', '2024-05-06'],
        ['json', { type: 'object' }, '{"a":1}', '{"a":1}'],
      ]
      await using place = await Place.make(d)
      const session = await place.open()
      for (const [from, first, one] of samples) {
        for (const [to, second, two] of samples) {
          const stream = `${from}_${to}`
          await session.declare(schemaOf(stream, { id: int, v: first } as never))
          await session.write(stream, recordsOf(stream, [`{"id":1,"v":${one}}`]))
          await session.flush()
          await session.declare(schemaOf(stream, { id: int, v: second } as never))
          await session.write(stream, recordsOf(stream, [`{"id":2,"v":${two}}`]))
        }
      }
      await session.flush()
      await session[Symbol.asyncDispose]()
      for (const [from, , , one] of samples) {
        for (const [to, , , two] of samples) {
          const rows = await place.rows(`${from}_${to}`)
          const boolean = (v: string): string => (v === 'true' && rows.some((r) => r[1] === '1') ? '1' : v)
          for (const [i, want] of [one, two].entries())
            assert.ok(
              asKept(d, rows[i]?.[1])?.includes(asKept(d, boolean(want)) ?? ''),
              `${from} then ${to}: ${want} became ${rows[i]?.[1]}`,
            )
        }
      }
    })

    test('a field that the schema does not name gets a column, and one warning', async () => {
      await using place = await Place.make(d)
      await place.run(schemaOf('e', { id: int }), [
        '{"id":1,"more":null}',
        '{"id":2,"more":5}',
        '{"id":3,"more":6.5,"other":"x"}',
      ])
      assert.deepEqual(await place.columnNames('e'), ['id', 'more', 'other'])
      assert.deepEqual(
        (await place.rows('e')).map((r) => r[2]),
        [null, null, 'x'],
      )
      assert.deepEqual(
        (await place.rows('e')).slice(1).map((r) => Number(r[1])),
        [5, 6.5],
      )
      assert.equal(place.warnings.filter((w) => w.includes('field=more') && w.includes('added')).length, 1)
    })

    test('a field that the schema forbids is left out, with one warning', async () => {
      await using place = await Place.make(d)
      const schema = schemaOf('e', { id: int }, ['id'], { additionalProperties: false })
      await place.run(schema, ['{"id":1,"more":1}', '{"id":2,"more":{"a":1}}', '{"id":3}'])
      assert.deepEqual(await place.columnNames('e'), ['id'])
      assert.equal((await place.rows('e')).length, 3)
      assert.equal(place.warnings.length, 1)
    })

    test('new key properties replace the old ones where the rows allow it, else they are refused', async () => {
      await using place = await Place.make(d)
      const properties = { id: int, code: str, v: str }
      await place.run(schemaOf('e', properties), ['{"id":1,"code":"a","v":"1"}', '{"id":2,"code":"b","v":"2"}'])
      await place.run(schemaOf('e', properties, ['code']), ['{"id":3,"code":"a","v":"3"}'])
      assert.deepEqual((await place.rows('e')).map((r) => r.join()).sort(), ['2,b,2', '3,a,3'])
      await place.run(schemaOf('e', properties, []), ['{"id":3,"code":"a","v":"4"}'])
      assert.equal((await place.rows('e')).length, 3)
      await using session = await place.open()
      await assert.rejects(
        session.declare(schemaOf('e', properties, ['code'])),
        (e: unknown) => isMillraceError(e) && e.code === 'SCHEMA_CHANGE_REFUSED',
      )
    })

    // SQLite made keys up for rows without any, and the next record with such a key took the place of another row.
    test('a new key that rows have no value for is refused, whatever its type, and the rows stay', async () => {
      for (const type of [int, str]) {
        await using place = await Place.make(d)
        await place.run(schemaOf('e', { id: int, v: str }, ['id']), ['{"id":1,"v":"a"}', '{"id":2,"v":"b"}'])
        await using session = await place.open()
        await assert.rejects(
          session.declare(schemaOf('e', { v: str, w: type }, ['w'])),
          (e: unknown) => isMillraceError(e) && e.code === 'SCHEMA_CHANGE_REFUSED',
        )
        await session[Symbol.asyncDispose]()
        assert.deepEqual(
          (await place.rows('e')).map((r) => r.slice(0, 2).join()),
          ['1,a', '2,b'],
        )
      }
    })

    // The refusal took everything since the last flush with it, also what states covered: each run stopped at the same place.
    test('keys that are refused leave what came before them, with its states', async () => {
      await using place = await Place.make(d)
      const t = (keys: readonly string[]): string =>
        JSON.stringify({
          type: 'SCHEMA',
          stream: 't',
          schema: { properties: { id: int, b: int } },
          key_properties: keys,
        })
      const lines = [
        t(['id', 'b']),
        '{"type":"RECORD","stream":"t","record":{"id":1,"b":1}}',
        '{"type":"RECORD","stream":"t","record":{"id":1,"b":2}}',
        '{"type":"STATE","value":1}',
        '{"type":"SCHEMA","stream":"u","schema":{"properties":{"id":{"type":"integer"}}},"key_properties":["id"]}',
        '{"type":"RECORD","stream":"u","record":{"id":7}}',
        '{"type":"STATE","value":2}',
        t(['id']),
        '{"type":"RECORD","stream":"t","record":{"id":3,"b":3}}',
        '{"type":"STATE","value":3}',
      ]
      const states: string[] = []
      await assert.rejects(
        runPersister(d.persister, {
          ...place.context(),
          input: Readable.from([Buffer.from(lines.join('\n'))]),
          writeState: (state) => {
            states.push(state)
          },
        }),
        (e: unknown) => isMillraceError(e) && e.code === 'SCHEMA_CHANGE_REFUSED',
      )
      assert.deepEqual(states, ['2\n'])
      assert.deepEqual((await place.rows('t')).map((r) => r.join()).toSorted(), ['1,1', '1,2'])
      assert.deepEqual(await place.rows('u'), [['7']])
    })

    test('a dropped table or column is made again', async () => {
      await using place = await Place.make(d)
      await place.run(schemaOf('e', { id: int, v: str }), ['{"id":1,"v":"a"}'])
      await d.execute(place.path, 'ALTER TABLE e DROP COLUMN v')
      await place.run(schemaOf('e', { id: int, v: str }), ['{"id":2,"v":"b"}'])
      assert.deepEqual(
        (await place.rows('e')).map((r) => r[1]),
        [null, 'b'],
      )
      await d.execute(place.path, 'DROP TABLE e')
      await place.run(schemaOf('e', { id: int, v: str }), ['{"id":3,"v":"c"}'])
      assert.deepEqual(await place.rows('e'), [['3', 'c']])
    })

    test('a table that somebody else made is not touched', async () => {
      await using place = await Place.make(d)
      await place.run(schemaOf('first', { id: int }), [])
      await d.execute(place.path, 'CREATE TABLE theirs (x INTEGER)')
      await using session = await place.open()
      await assert.rejects(
        session.declare(schemaOf('theirs', { id: int })),
        (e: unknown) => isMillraceError(e) && e.code === 'DESTINATION_REFUSED',
      )
    })
  })
}
