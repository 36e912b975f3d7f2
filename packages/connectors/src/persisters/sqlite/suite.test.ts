import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { JsonObject } from '@millrace/sdk'
import { persisterSuite, type Rows } from '@millrace/sdk/testing'
import { sqlite } from './index.ts'

const read = async (dir: string): Promise<Rows> => {
  const file = join(dir, 'x.db')
  if (!existsSync(file)) return new Map()
  const db = new DatabaseSync(file)
  const tables = db.prepare("select name from sqlite_master where type = 'table'").all() as { readonly name: string }[]
  const rows = tables
    .filter(({ name }) => !/millrace/.test(name))
    .map(({ name }): [string, readonly JsonObject[]] => {
      const all = db.prepare(`select * from "${name.replaceAll('"', '""')}"`)
      all.setReadBigInts(true)
      return [name, all.all() as JsonObject[]]
    })
  db.close()
  return new Map(rows)
}

persisterSuite('sqlite', {
  persister: sqlite,
  config: (dir) => ({ path: join(dir, 'x.db') }),
  read,
  module: new URL('./index.ts', import.meta.url),
})
