import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { JsonObject } from '@millrace/sdk'
import { persisterSuite, type Rows } from '@millrace/sdk/testing'
import { sqlite } from './index.ts'
const read = async (dir: string): Promise<Rows> => {
  const rows = new Map<string, JsonObject[]>()
  if (!existsSync(join(dir, 'x.db'))) return rows
  const db = new DatabaseSync(join(dir, 'x.db'))
  for (const { name } of db.prepare("select name from sqlite_master where type='table'").all() as { name: string }[]) {
    if (/millrace/.test(name)) continue
    const st = db.prepare(`select * from "${name.replaceAll('"', '""')}"`)
    st.setReadBigInts(true)
    rows.set(name, st.all() as JsonObject[])
  }
  db.close()
  return rows
}
persisterSuite('sqlite', {
  persister: sqlite,
  config: (dir) => ({ path: join(dir, 'x.db') }),
  read,
  module: new URL('./index.ts', import.meta.url),
})
