import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { JsonObject } from '@millrace/sdk'
import { type Destination, Place, schemaOf } from './destination.ts'

export const nameTests = (d: Destination): void => {
  describe(`${d.name}: names`, () => {
    test('hostile property names each get a column that holds their value', async () => {
      const names = [
        '',
        ' ',
        'a b',
        'a"b',
        "a'b",
        'a.b',
        'select',
        'ID',
        'Id',
        'rowid',
        'oid',
        '_rowid_',
        '__proto__',
        'constructor',
        'é',
        'É',
        '日本',
        '$ref',
        '?',
        ':x',
        '@y',
        'nul\u0000',
        'new\nline',
        ';drop table h',
        '_sdc_sequence',
        'x'.repeat(10_000),
        `${'x'.repeat(9_999)}y`,
        'c0',
        'c1',
      ]
      const properties = JSON.parse(
        `{${['id', ...names].map((n) => `${JSON.stringify(n)}:{"type":"string"}`).join()}}`,
      ) as JsonObject
      const record = (tag: string): string =>
        `{${['id', ...names].map((n, i) => `${JSON.stringify(n)}:"${tag}${i}"`).join()}}`
      await using place = await Place.make(d)
      for (const tag of ['a', 'b'])
        await place.run(schemaOf('h', properties), [record(tag), JSON.parse(record(`${tag}2`)) as JsonObject], {
          metadata: true,
        })
      const { columns, rows } = await place.table('h')
      const own = columns.slice(0, names.length + 1)
      assert.equal(new Set(own.map((c) => c.name.toLowerCase())).size, names.length + 1)
      assert.equal(rows.length, 4)
      for (const row of rows) {
        const tag = row[0]?.slice(0, -1)
        assert.deepEqual(
          row.slice(0, names.length + 1),
          ['id', ...names].map((_, i) => `${tag}${i}`),
        )
      }
    })

    test('hostile stream names each get a table, and keep it', async () => {
      const streams = [
        'orders',
        'Orders',
        'ORDERS',
        'or"ders',
        "o'r",
        'select',
        'a.b',
        'a b',
        '日本',
        'sqlite_master',
        'information_schema',
        '_millrace_catalog',
        'x'.repeat(10_000),
        `${'x'.repeat(9_999)}y`,
        '../../etc',
      ]
      await using place = await Place.make(d)
      for (const order of [streams, [...streams].reverse()])
        for (const [i, stream] of order.entries())
          await place.run(schemaOf(stream, { id: { type: 'integer' }, s: { type: 'string' } }), [
            { id: i + (order === streams ? 0 : 100), s: stream },
          ])
      const tables = (await d.tables(place.path)).filter((t) => t !== '_millrace_catalog')
      assert.equal(tables.length, streams.length)
      assert.ok(
        tables.includes('orders') && tables.includes('Orders_2') && tables.includes('ORDERS_3'),
        tables.map((t) => t.slice(0, 40)).join(),
      )
      for (const table of tables) {
        const rows = await place.rows(table)
        assert.equal(rows.length, 2)
        assert.equal(rows[0]?.[1], rows[1]?.[1])
      }
    })

    test('names that differ only by case are told apart the same way in every run', async () => {
      await using place = await Place.make(d)
      const s = { type: 'string' }
      await place.run(schemaOf('c', { id: s, Name: s, name: s }), ['{"id":"1","Name":"A","name":"a"}'])
      await place.run(schemaOf('c', { id: s, name: s, Name: s, NAME: s }), [
        '{"id":"2","NAME":"AA","name":"a","Name":"A"}',
      ])
      assert.deepEqual(await place.columnNames('c'), ['id', 'Name', 'name_2', 'NAME_3'])
      assert.deepEqual(await place.rows('c'), [
        ['1', 'A', 'a', null],
        ['2', 'A', 'a', 'AA'],
      ])
    })
  })
}
