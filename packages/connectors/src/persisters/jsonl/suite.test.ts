import { type JsonObject, parseExact } from '@millrace/sdk'
import { persisterSuite, type Rows } from '@millrace/sdk/testing'
import { committedFiles } from '../../file-output/read.ts'
import { jsonl } from './index.ts'

const read = async (dir: string): Promise<Rows> => {
  const rows = new Map<string, JsonObject[]>()
  for (const { substream, text } of await committedFiles(dir))
    rows.set(
      substream,
      text
        .split('\n')
        .slice(0, -1)
        .map((l) => parseExact(l) as JsonObject),
    )
  return rows
}

persisterSuite('jsonl', {
  persister: jsonl,
  config: (dir) => ({ path: dir }),
  read,
  module: new URL('./index.ts', import.meta.url),
})
