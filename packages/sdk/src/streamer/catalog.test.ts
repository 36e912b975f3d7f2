import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Json, JsonObject } from '../message/json.ts'
import { discoverCatalog, pruneSchema, pruneValue, selectionOf } from './catalog.ts'
import type { SubstreamInfo } from './types.ts'

const orders: SubstreamInfo = {
  name: 'orders',
  keyProperties: ['id'],
  replicationKey: 'at',
  schema: {
    type: 'object',
    required: ['id', 'note'],
    properties: {
      id: { type: 'integer' },
      at: { type: 'string' },
      note: { type: 'string' },
      lines: {
        type: 'array',
        items: { type: 'object', properties: { sku: { type: 'string' }, price: { type: 'number' } } },
      },
    },
  },
}
const people: SubstreamInfo = {
  name: 'people',
  keyProperties: [],
  schema: { type: 'object', properties: {} },
  selectedByDefault: false,
}
const entry = (metadata: readonly Json[], extra: JsonObject = {}): JsonObject => ({
  streams: [{ tap_stream_id: 'orders', stream: 'orders', schema: {}, metadata, ...extra }],
})
const fieldsOf = (catalog: JsonObject | undefined): string[] | 'all' | 'none' => {
  const found = selectionOf(catalog, [orders]).selected[0]
  return found === undefined ? 'none' : found.fields === undefined ? 'all' : [...found.fields]
}

test('discovery has the standard metadata, and selecting by it gives the defaults', () => {
  const catalog = discoverCatalog([orders, people])
  const [first] = catalog['streams'] as JsonObject[]
  const metadata = first?.['metadata'] as JsonObject[]
  assert.deepEqual(metadata[0], {
    breadcrumb: [],
    metadata: {
      inclusion: 'available',
      'selected-by-default': true,
      'table-key-properties': ['id'],
      'forced-replication-method': 'INCREMENTAL',
      'valid-replication-keys': ['at'],
      'replication-key': 'at',
    },
  })
  assert.deepEqual(
    metadata.slice(1).map((m) => (m['metadata'] as JsonObject)['inclusion']),
    ['automatic', 'automatic', 'available', 'available'],
  )
  assert.deepEqual(
    selectionOf(catalog, [orders, people]).selected.map((s) => s.name),
    ['orders'],
  )
})

test('selection of streams', () => {
  const top = (metadata: JsonObject): Json => ({ breadcrumb: [], metadata })
  assert.equal(fieldsOf(undefined), 'all')
  assert.equal(fieldsOf(entry([])), 'all')
  assert.equal(fieldsOf(entry([top({ selected: true })])), 'all')
  assert.equal(fieldsOf(entry([top({ selected: 'true' })])), 'all')
  assert.equal(fieldsOf(entry([top({ selected: 'false' })])), 'none')
  assert.equal(fieldsOf(entry([top({ inclusion: 'available' })])), 'none')
  assert.equal(fieldsOf(entry([top({ inclusion: 'available', 'selected-by-default': true })])), 'all')
  assert.equal(fieldsOf(entry([top({})], { schema: { selected: true } })), 'all')
  assert.deepEqual(selectionOf({ streams: [{ tap_stream_id: 'gone' }] }, [orders]), { selected: [], unknown: ['gone'] })
})

test('selection of fields', () => {
  const of = (...fields: readonly [readonly string[], JsonObject][]): JsonObject =>
    entry([
      { breadcrumb: [], metadata: { selected: true } },
      ...fields.map(([breadcrumb, metadata]) => ({ breadcrumb, metadata })),
    ])
  assert.deepEqual(fieldsOf(of([['properties', 'note'], { selected: false }])), ['id', 'at', 'lines'])
  assert.equal(
    fieldsOf(of([['properties', 'id'], { selected: false }], [['properties', 'at'], { selected: 'false' }])),
    'all',
  )
  assert.deepEqual(fieldsOf(of([['properties', 'note'], { inclusion: 'unsupported', selected: true }])), [
    'id',
    'at',
    'lines',
  ])
  assert.deepEqual(fieldsOf(of([['properties', 'note'], { 'selected-by-default': false }])), ['id', 'at', 'lines'])
  const nested = selectionOf(of([['properties', 'lines', 'items', 'properties', 'price'], { selected: false }]), [
    orders,
  ]).selected[0]
  assert.ok(nested?.keep !== undefined)
  assert.deepEqual(pruneValue({ id: 1, lines: [{ sku: 'a', price: 2, extra: 3 }] }, nested.keep), {
    id: 1,
    lines: [{ sku: 'a', extra: 3 }],
  })
  assert.deepEqual((pruneSchema(orders.schema, nested.keep)['properties'] as JsonObject)['lines'], {
    type: 'array',
    items: { type: 'object', properties: { sku: { type: 'string' } } },
  })
  const pruned = selectionOf(of([['properties', 'note'], { selected: false }]), [orders]).selected[0]
  assert.deepEqual(pruneSchema(orders.schema, pruned?.keep)['required'], ['id'])
})

test('a STRUCTURE file of 2017 is a selection', () => {
  const structure: JsonObject = {
    shop: {
      type: 'database',
      is_synced: true,
      children: {
        orders: {
          type: 'table',
          is_synced: true,
          children: { note: { type: 'column', is_synced: true }, lines: { type: 'column', is_synced: false } },
        },
        people: { type: 'table', is_synced: false },
      },
    },
  }
  assert.deepEqual(fieldsOf(structure), ['id', 'at', 'note'])
  assert.deepEqual(fieldsOf({ orders: { type: 'table', is_synced: true } }), 'all')
  assert.deepEqual(fieldsOf({ orders: { type: 'table', is_synced: false } }), 'none')
  for (const broken of [{ orders: { type: 'table' } }, { orders: 1 }, { streams: {} }])
    assert.throws(() => selectionOf(broken as JsonObject, [orders]), { code: 'CATALOG_INVALID' })
})
