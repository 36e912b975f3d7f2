import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type JsonObject, parseExact } from '@millrace/sdk'
import { persisterSuite, type Rows } from '@millrace/sdk/testing'
import { singer } from './index.ts'

const target = fileURLToPath(new URL('../../singer/fixtures/target.mjs', import.meta.url))

const read = async (dir: string): Promise<Rows> => {
  const rows = new Map<string, JsonObject[]>()
  const file = join(dir, 'rows.jsonl')
  if (!existsSync(file)) return rows
  // A target that was killed may leave half a line.
  for (const line of readFileSync(file, 'utf8').split('\n').slice(0, -1)) {
    const { stream, record } = parseExact(line) as JsonObject
    if (stream === undefined) continue
    rows.set(String(stream), [...(rows.get(String(stream)) ?? []), record as JsonObject])
  }
  return rows
}

persisterSuite('singer', {
  persister: singer,
  config: (dir) => ({ command: [process.execPath, target], config: { path: dir } }),
  read,
  module: new URL('./index.ts', import.meta.url),
  kills: 8,
})
