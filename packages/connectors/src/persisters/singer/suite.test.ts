import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type JsonObject, parseExact } from '@millrace/sdk'
import { persisterSuite, type Rows } from '@millrace/sdk/testing'
import { singer } from './index.ts'

const target = fileURLToPath(new URL('../../singer/fixtures/target.mjs', import.meta.url))

// A run has a folder that is removed also where the persister is killed; here it is this one.
const folder = mkdtempSync(join(tmpdir(), 'singer-suite-'))
process.env['MILLRACE_PRIVATE_FOLDER'] = folder
after(() => rmSync(folder, { recursive: true, force: true }))

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
