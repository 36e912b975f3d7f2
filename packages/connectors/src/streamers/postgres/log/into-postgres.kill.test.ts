import { asRows, killedRuns } from './testing/killed-runs.ts'

await killedRuns({
  persister: 'postgres',
  config: (db) => `{ url: "${db.url}" }`,
  rows: async (_, db, query) => asRows(await db.query(query)),
})
