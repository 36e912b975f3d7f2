import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type JsonObject, parseExact } from '@millrace/sdk'
import { persisterSuite, type Rows } from '@millrace/sdk/testing'
import { batchFiles } from './batch-files.ts'

const read = async (dir: string): Promise<Rows> => {
  const rows = new Map<string, JsonObject[]>()
  for (const name of (await readdir(dir)).filter((n) => n.endsWith('.jsonl')).sort())
    for (const line of (await readFile(join(dir, name), 'utf8')).split('\n').slice(0, -1)) {
      const { substream, record } = parseExact(line) as { readonly substream: string; readonly record: JsonObject }
      const held = rows.get(substream) ?? []
      held.push(record)
      rows.set(substream, held)
    }
  return rows
}

persisterSuite('batch-files', {
  persister: batchFiles,
  config: (dir) => ({ path: dir }),
  read,
  module: new URL('./batch-files.ts', import.meta.url),
})

test('the code in the how-to page is the code of the example and of its test', async () => {
  const here = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))
  const page = await readFile(here('docs/how-to/write-a-persister.md'), 'utf8')
  const shown = [
    ...page.matchAll(
      /<!-- (examples\/\S+)(?: from "([^"]+)" to "([^"]+)")? -->\n```ts(?: title=\S+)?\n([\s\S]*?)\n```/g,
    ),
  ]
  assert.equal(shown.length, page.split('```ts').length - 1)
  for (const [, path = '', from, to, code = ''] of shown) {
    const file = await readFile(here(path), 'utf8')
    const cut =
      from === undefined ? file : file.slice(file.indexOf(from), file.indexOf(to as string, file.indexOf(from)))
    assert.equal(code.trim(), cut.trim(), path)
  }
})
