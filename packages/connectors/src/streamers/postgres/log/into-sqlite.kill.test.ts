import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { asRows, killedRuns } from './testing/killed-runs.ts'

await killedRuns({
  persister: 'sqlite',
  config: () => '{ path: out.sqlite }',
  rows: async (dir, _, query) => {
    const db = new DatabaseSync(join(dir, 'out.sqlite'))
    try {
      return asRows(db.prepare(query).all())
    } finally {
      db.close()
    }
  },
})
