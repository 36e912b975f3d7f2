import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { streamLogSuite } from '../../testing/index.ts'
import { SqliteEngine } from './index.ts'

const root = mkdtempSync(join(tmpdir(), 'streams é-'))
after(() => rmSync(root, { recursive: true, force: true }))
const paths = new WeakMap<object, string>()

const open = async (path: string, now: () => Date): Promise<SqliteEngine> => {
  const engine = await SqliteEngine.open({ path, now })
  paths.set(engine, path)
  return engine
}

streamLogSuite({
  name: 'sqlite',
  make: async (now) => await open(join(mkdtempSync(join(root, 'e-')), 'streams.db'), now),
  reopen: async (old, now) => await open(paths.get(old) as string, now),
})
