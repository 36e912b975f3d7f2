/** Reading what counts in a folder, by its journal; for the tests of the persisters that write it. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Journal } from './journal.ts'

/** The committed text of each file with its substream, parts in their order. */
export const committedFiles = async (
  folder: string,
): Promise<readonly { readonly substream: string; readonly text: string }[]> => {
  const { files } = await Journal.read(folder)
  const entries = [...files].filter(([, e]) => e.bytes > 0).sort(([, a], [, b]) => a.part - b.part)
  return await Promise.all(
    entries.map(async ([name, entry]) => {
      const bytes = await readFile(join(folder, name))
      return { substream: entry.substream, text: bytes.subarray(0, entry.bytes).toString() }
    }),
  )
}
