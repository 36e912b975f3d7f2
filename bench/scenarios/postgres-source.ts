/** PostgreSQL →, a whole table, against psql on the same server: COPY of the same rows. The server is the one on port 5432. */
import { spawnSync } from 'node:child_process'
import { bin } from '../data.ts'
import type { DataFiles, Sample, Scenario, Subject } from '../harness.ts'
import { measureCommand, quoted } from '../processes.ts'

const url = 'postgresql://postgres@127.0.0.1:5432/postgres'
const million = 1_000_000

const psql = (sql: string): void => {
  const { status, stderr } = spawnSync('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', url, '-c', sql], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`psql ended with ${status}: ${stderr}`)
}

/** A million rows much like the wide records, in a schema of their own. */
const withTable = async (measure: (schema: string) => Promise<Sample>): Promise<Sample> => {
  const schema = `bench_source_${process.pid}`
  psql(`CREATE SCHEMA ${schema}`)
  try {
    psql(`CREATE TABLE ${schema}.orders AS SELECT i::bigint AS id, 'ORD-' || lpad(i::text, 9, '0') AS code, 'sierra november' AS customer,
      'delta.' || i || '@example.com' AS email, CASE WHEN i % 3 > 0 THEN repeat('quebec oscar é ', 1 + i % 6) END AS note,
      (ARRAY['new','paid','packed'])[1 + i % 3] AS status, (i * 37 % 10000000) / 100.0::float8 AS amount, (i % 40)::bigint AS quantity, i % 2 = 0 AS active,
      '2024-01-01Z'::timestamptz + i * interval '1 second' AS updated_at,
      jsonb_build_object('city', 'Reykjavík', 'zip', (10000 + i % 89999)::text, 'geo', (i % 9000) / 100.0) AS address,
      jsonb_build_array('kilo', 'lima') AS tags FROM generate_series(1, ${million}) i`)
    psql(`ALTER TABLE ${schema}.orders ADD PRIMARY KEY (id)`)
    psql(`VACUUM ANALYZE ${schema}.orders`)
    return await measure(schema)
  } finally {
    psql(`DROP SCHEMA ${schema} CASCADE`)
  }
}

const command = (name: string, line: (schema: string) => string): Subject => ({
  name,
  sample: async (_data: DataFiles) => await withTable((schema) => measureCommand(line(schema), million)),
})

const byHand = command(
  'psql -c "copy (select …) to stdout"',
  (schema) => `psql -X ${url} -c ${quoted(`copy (select * from ${schema}.orders) to stdout`)} | cat`,
)
const ours = command(
  'postgres streamer, a whole table',
  (schema) => `${quoted(process.execPath)} ${quoted(bin)} streamer postgres --url ${url} --schemas ${schema} | cat`,
)

export const postgresStreamer: Scenario = {
  name: 'postgres-source',
  title: 'PostgreSQL → (a million wide rows; the CPU of the server is not counted)',
  subjects: [byHand, ours],
  claims: [{ path: 'postgres streamer, a whole table', subject: ours.name, baseline: byHand.name, ratio: 0.6 }],
}
