import type { JsonObject } from '@millrace/sdk'
import { persisterSuite, type Rows } from '@millrace/sdk/testing'
import { parse } from 'csv-parse/sync'
import { committedFiles } from '../../file-output/read.ts'
import { csv } from './index.ts'

/** Rows of all parts: an unquoted nothing is null, a quoted one the empty text. */
const read = async (dir: string): Promise<Rows> => {
  const rows = new Map<string, JsonObject[]>()
  for (const { substream, text } of await committedFiles(dir)) {
    const nothing = (value: string, context: { readonly quoting: boolean }): string | null =>
      value === '' && !context.quoting ? null : value
    const [names = [], ...lines] = parse(text, { cast: nothing as never }) as unknown as (string | null)[][]
    const held = rows.get(substream) ?? []
    for (const line of lines) {
      const row: Record<string, string | null> = Object.create(null)
      for (const [i, name] of names.entries()) row[String(name)] = line[i] ?? null
      held.push(row)
    }
    rows.set(substream, held)
  }
  return rows
}

persisterSuite('csv', {
  persister: csv,
  config: (dir) => ({ path: dir }),
  read,
  module: new URL('./index.ts', import.meta.url),
})
