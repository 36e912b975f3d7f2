import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { JsonObject } from '@millrace/sdk'
import { asKept, type Destination, Place, recordsOf, schemaOf } from './destination.ts'

const int = { type: 'integer' }
const str = { type: 'string' }
const address: JsonObject = {
  type: ['null', 'object'],
  properties: { city: str, geo: { type: 'object', properties: { lat: { type: 'number' } } } },
}
const items: JsonObject = { type: 'array', items: { type: 'object', properties: { sku: str, n: int } } }

export const nestedTests = (d: Destination): void => {
  describe(`${d.name}: objects and arrays`, () => {
    test('as json they keep every digit and character', async () => {
      await using place = await Place.make(d)
      const text = '{"a":[1,2.5,"ü"],"long":12345678901234567890.123456789012345678,"s":"\\"q\\""}'
      await place.run(schemaOf('j', { id: int, v: { type: 'object' } }), [
        `{"id":1,"v":${text}}`,
        '{"id":2,"v":"a string"}',
        '{"id":3,"v":5}',
        '{"id":4,"v":null}',
      ])
      assert.deepEqual(
        (await place.rows('j')).map((r) => asKept(d, r[1])),
        [asKept(d, text), '"a string"', '5', null],
      )
    })

    test('flattened, objects become columns; what does not fit them is kept beside', async () => {
      await using place = await Place.make(d)
      const schema = schemaOf('f', { id: int, address, items })
      await place.run(
        schema,
        [
          '{"id":1,"address":{"city":"Łódź","geo":{"lat":51.75},"zip":"90"},"items":[{"sku":"a"}]}',
          '{"id":2,"address":null}',
          '{"id":3,"address":"c/o"}',
        ],
        { nested: 'flatten' },
      )
      assert.deepEqual(await place.columnNames('f'), [
        'id',
        'address__city',
        'address__geo__lat',
        'items',
        'address__zip',
        'address',
      ])
      assert.deepEqual(await place.rows('f'), [
        [
          '1',
          'Łódź',
          '51.75',
          d.loses?.includes('json-text') === true ? '[{"sku": "a"}]' : '[{"sku":"a"}]',
          '90',
          null,
        ],
        ['2', null, null, null, null, null],
        ['3', null, null, null, null, 'c/o'],
      ])
    })

    test('child tables hold the elements, and are replaced with their parent', async () => {
      await using place = await Place.make(d)
      const schema = schemaOf('p', { id: int, items, tags: { type: 'array', items: str } })
      await place.run(
        schema,
        [
          '{"id":1,"items":[{"sku":"old"}]}',
          '{"id":1,"items":[{"sku":"a","n":1},{"sku":"b","x":true}],"tags":["t"]}',
          '{"id":2,"items":[{"sku":"c"}]}',
          '{"id":3}',
        ],
        { nested: 'child-tables' },
      )
      assert.deepEqual(await place.columnNames('p__items'), ['_sdc_source_key_id', '_sdc_level_0_id', 'sku', 'n', 'x'])
      const skus = async (): Promise<readonly string[]> =>
        (await place.rows('p__items')).map((r) => r.slice(0, 3).join()).sort()
      assert.deepEqual(await skus(), ['1,0,a', '1,1,b', '2,0,c'])
      const session = await place.open({ nested: 'child-tables' })
      await session.declare(schema)
      await session.write('p', recordsOf('p', ['{"id":1,"items":[{"sku":"z"}]}']))
      await session.write('p', recordsOf('p', ['{"id":2,"items":[]}', '{"id":3,"items":[{"sku":"new"}]}']))
      await session.write('p', recordsOf('p', ['{"id":1,"items":[{"sku":"zz"}]}']))
      await session.flush()
      await session[Symbol.asyncDispose]()
      assert.deepEqual(await skus(), ['1,0,zz', '3,0,new'])
      assert.deepEqual(
        (await place.rows('p')).map((r) => r[0]),
        ['1', '2', '3'],
      )
    })

    test('rows of other versions go with their child rows; or stay, marked', async () => {
      for (const deletes of ['hard', 'soft'] as const) {
        await using place = await Place.make(d)
        const schema = schemaOf('v', { id: int, items })
        const session = await place.open({ nested: 'child-tables', deletes })
        const activate = (version: number): Promise<void> | undefined =>
          session.activateVersion?.({ type: 'ACTIVATE_VERSION', stream: 'v', version, line: 9 })
        await session.declare(schema)
        await session.write(
          'v',
          recordsOf('v', ['{"id":1,"items":[{"sku":"a"}]}', '{"id":2,"items":[{"sku":"b"}]}'], { version: 1 }),
        )
        await activate(1)
        await session.flush()
        await session.write('v', recordsOf('v', ['{"id":2,"items":[{"sku":"c"}]}'], { version: 2 }))
        await activate(2)
        await session.write('v', recordsOf('v', ['{"id":3}'], { version: 2 }))
        await session.flush()
        await session[Symbol.asyncDispose]()
        const { columns, rows } = await place.table('v')
        const at = columns.findIndex((c) => c.name === '_sdc_deleted_at')
        assert.deepEqual(
          rows.map((r) => [r[0], at < 0 ? null : r[at] !== null]),
          deletes === 'hard'
            ? [
                ['2', null],
                ['3', null],
              ]
            : [
                ['1', true],
                ['2', false],
                ['3', false],
              ],
        )
        assert.deepEqual(
          (await place.rows('v__items')).map((r) => r[2]).sort(),
          deletes === 'hard' ? ['c'] : ['a', 'c'],
        )
      }
    })

    test('a row that its source marks as deleted goes, or stays marked', async () => {
      for (const deletes of ['hard', 'soft'] as const) {
        await using place = await Place.make(d)
        const schema = schemaOf('l', { id: int, _sdc_deleted_at: { type: ['null', 'string'], format: 'date-time' } })
        await place.run(schema, ['{"id":1}', '{"id":2}'], { deletes })
        await place.run(schema, ['{"id":1,"_sdc_deleted_at":"2024-01-01T00:00:00Z"}'], { deletes })
        assert.deepEqual(
          (await place.rows('l')).map((r) => r[0]),
          deletes === 'hard' ? ['2'] : ['1', '2'],
        )
      }
    })

    // The mark went into a second column of nearly that name, and the row stayed.
    test('a mark of deletion is seen also where the table had the column of its own before', async () => {
      for (const deletes of ['hard', 'soft'] as const) {
        await using place = await Place.make(d)
        const settings = { deletes, metadata: true }
        await place.run(schemaOf('l', { id: int }), ['{"id":1}', '{"id":2}'], settings)
        const marked = schemaOf('l', { id: int, _sdc_deleted_at: { type: ['null', 'string'], format: 'date-time' } })
        await place.run(marked, ['{"id":1,"_sdc_deleted_at":"2024-01-01T00:00:00Z"}'], settings)
        const { columns, rows } = await place.table('l')
        assert.deepEqual(
          columns.map((c) => c.name).filter((name) => name.startsWith('_sdc_deleted_at')),
          ['_sdc_deleted_at'],
        )
        assert.deepEqual(
          rows.map((r) => r[0]),
          deletes === 'hard' ? ['2'] : ['1', '2'],
        )
        const at = columns.findIndex((c) => c.name === '_sdc_deleted_at')
        if (deletes === 'soft') assert.match(String(rows[0]?.[at]), /^2024-01-01/)
      }
    })

    test('ACTIVATE_VERSION without versions in the records removes nothing', async () => {
      await using place = await Place.make(d)
      const session = await place.open()
      await session.declare(schemaOf('v', { id: int }))
      await session.write('v', recordsOf('v', ['{"id":1}']))
      await session.activateVersion?.({ type: 'ACTIVATE_VERSION', stream: 'v', version: 1, line: 9 })
      await session.flush()
      await session[Symbol.asyncDispose]()
      assert.equal((await place.rows('v')).length, 1)
      assert.equal(place.warnings.length, 1)
    })

    test('ACTIVATE_VERSION of a table without rows is nothing to warn of', async () => {
      // The first run of an empty table said that no record ever carried a version. With rows of before it is told.
      await using place = await Place.make(d)
      for (const warnings of [0, 1]) {
        const session = await place.open()
        await session.declare(schemaOf('v', { id: int }))
        await session.activateVersion?.({ type: 'ACTIVATE_VERSION', stream: 'v', version: 1, line: 9 })
        await session.flush()
        await session[Symbol.asyncDispose]()
        assert.equal(place.warnings.length, warnings)
        await place.run(schemaOf('v', { id: int }), ['{"id":1}'])
      }
    })

    test('metadata columns say when, in which order and of which version', async () => {
      await using place = await Place.make(d)
      const session = await place.open({ metadata: true })
      await session.declare(schemaOf('m', { id: int }))
      await session.write(
        'm',
        recordsOf('m', ['{"id":1}', { id: 2 }, '{"id":3,"x":{}}'], {
          version: 4,
          timeExtracted: '2024-01-01T00:00:00.5Z',
        }),
      )
      await session.flush()
      await session[Symbol.asyncDispose]()
      const { columns, rows } = await place.table('m')
      assert.deepEqual(
        columns.map((c) => c.name),
        [
          'id',
          '_sdc_extracted_at',
          '_sdc_received_at',
          '_sdc_batched_at',
          '_sdc_sequence',
          '_sdc_table_version',
          '_sdc_deleted_at',
          'x',
        ],
      )
      for (const row of rows) {
        assert.match(row[1] ?? '', /^2024-01-01.00:00:00\.5/)
        assert.ok(row[2] !== null && row[3] !== null)
        assert.deepEqual([row[5], row[6]], ['4', null])
      }
      const sequence = rows.map((r) => Number(r[4]))
      assert.ok((sequence[0] as number) < (sequence[1] as number) && (sequence[1] as number) < (sequence[2] as number))
    })
  })
}
