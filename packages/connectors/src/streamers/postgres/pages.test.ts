/** Runs the page of docs that replicates a database, with a server of the test's own on both sides. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { runPage } from '../../testing/run-page.ts'
import { startCluster } from '../../testing/services/postgres.ts'

const cluster = await startCluster({ settings: { wal_level: 'logical' } })
after(() => cluster[Symbol.asyncDispose]())

test('docs/how-to/replicate-postgresql.md', { skip: cluster.skip }, async () => {
  await using shop = await cluster.database()
  await using warehouse = await cluster.database()
  const blocks = await runPage('replicate-postgresql.md', {
    env: {},
    replace: {
      'postgresql://owner@db.example.com/shop': shop.url,
      'postgresql://loader@warehouse.example.com/warehouse': warehouse.url,
    },
  })
  assert.equal(blocks, 6)
})
