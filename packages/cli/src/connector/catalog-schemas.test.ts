import assert from 'node:assert/strict'
import { test } from 'node:test'
import { catalogSchemas } from './catalog-schemas.ts'

test('a plan shows the fields that a run would send: what is not selected is left out, keys stay', () => {
  const field = (name: string, selected: boolean) => ({ breadcrumb: ['properties', name], metadata: { selected } })
  const properties = { id: { type: 'integer' }, note: { type: 'string' }, amt: { type: 'number' } }
  const [orders] = catalogSchemas({
    streams: [
      {
        tap_stream_id: 'orders',
        stream: 'orders',
        schema: { type: 'object', properties },
        key_properties: ['id'],
        metadata: [
          { breadcrumb: [], metadata: { selected: true, versioned: true } },
          field('id', false),
          field('note', false),
        ],
      },
    ],
  })
  assert.deepEqual(Object.keys(orders?.schema['properties'] ?? {}), ['id', 'amt'])
  assert.equal(orders?.versioned, true)
})
