import {
  definePersister,
  type Persister,
  type PersisterSession,
  type RecordLines,
  type RecordMessage,
} from '@millrace/sdk'
import { compressionSuffix } from '../../file-output/compression.ts'
import { evidenceOf, verifyFiles } from '../../file-output/evidence.ts'
import { OutputFolder } from '../../file-output/folder.ts'
import { fileNameFor } from '../../file-output/names.ts'
import type { OutputFile } from '../../file-output/output-file.ts'
import { checkFolder, fileSettings } from '../../file-output/settings.ts'
import { Spool } from '../../file-output/spool.ts'

const NEWLINE = 10

/** Writes records as the bytes they came as, a line each. */
class JsonlSession implements PersisterSession {
  readonly #path: string
  readonly #folder: OutputFolder
  readonly #spool: Spool
  /** Whose lines stand in the spool, and how many. */
  #filling: OutputFile | undefined
  #lines = 0

  constructor(path: string, folder: OutputFolder) {
    this.#path = path
    this.#folder = folder
    this.#spool = new Spool(folder)
  }

  async declare(schema: { readonly stream: string }): Promise<void> {
    // The journal is written with the first record: what is declared by then needs no writing of its own. And in mode
    // replace a substream that comes without records empties its file.
    await this.#file(schema.stream)
  }

  async #file(substream: string): Promise<OutputFile> {
    return (await this.#folder.file(substream, 1, { adopts: true })) as OutputFile
  }

  async write(substream: string, records: readonly RecordMessage[]): Promise<void> {
    const file = await this.#fill(substream)
    const spool = this.#spool
    let { buffer, at } = spool
    let lines = 0
    for (const record of records) {
      const size = record.size
      if (at + size >= buffer.length) {
        spool.at = at
        await this.#room(file, lines, size + 1)
        ;({ buffer, at } = spool)
        lines = 0
      }
      record.buffer.copy(buffer, at, record.from, record.to)
      at += size
      buffer[at++] = NEWLINE
      lines++
    }
    spool.at = at
    this.#lines += lines
  }

  /** What is already as it stands in the file. */
  async writeLines(substream: string, lines: RecordLines): Promise<void> {
    const file = await this.#fill(substream)
    const { bytes, count } = lines
    const spool = this.#spool
    if (spool.at + bytes.length > spool.buffer.length) await this.#room(file, 0, bytes.length)
    bytes.copy(spool.buffer, spool.at)
    spool.at += bytes.length
    this.#lines += count
  }

  /**
   * The file whose lines are filled in from now on. They stay in the spool until that is full: pieces of a pipe are small, and a
   * write of each would be waited for as long as one of a megabyte.
   */
  async #fill(substream: string): Promise<OutputFile> {
    const file = await this.#file(substream)
    if (this.#filling !== file) {
      await this.#spill()
      this.#filling = file
    }
    return file
  }

  /** Hands over what is filled in, `more` lines beside those that were counted, and makes room for so many bytes. */
  async #room(file: OutputFile, more: number, bytes: number): Promise<void> {
    this.#lines += more
    await this.#spill()
    this.#filling = file
    await this.#spool.makeRoom(bytes)
  }

  async #spill(): Promise<void> {
    const file = this.#filling
    if (file === undefined) return
    const lines = this.#lines
    this.#filling = undefined
    this.#lines = 0
    await this.#spool.spill(file, lines)
    await this.#spool.shrink()
  }

  async flush(): Promise<void> {
    await this.#spill()
    await this.#spool.settle()
    await this.#folder.commit()
  }

  async finish(): Promise<void> {
    await this.#folder.finish()
  }

  async evidence(): ReturnType<NonNullable<PersisterSession['evidence']>> {
    return await evidenceOf(this.#path, this.#folder)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What went wrong with it was told, or does not count any more.
    await this.#spool.settle().catch(() => {})
    await this.#folder[Symbol.asyncDispose]()
  }
}

/** A folder of JSON lines, a file for each substream (docs/reference/files.md). */
export const jsonl: Persister = definePersister({
  name: 'jsonl',
  doc: 'Appends records to files of JSON lines, one file for each substream.',
  config: fileSettings,
  reference: { page: 'files.md' },
  supports: { upsert: false, exactNumbers: true, versions: false, opensRecords: false },
  // What is not committed is in the files already, so a larger commit costs no memory; a sync costs as much as 20,000 records.
  flushes: { records: 400_000 },
  async open({ config, log, startsOver = false }) {
    const folder = await OutputFolder.open({ ...config, startsOver, extension: 'jsonl', log })
    return new JsonlSession(config.path, folder)
  },
  check: async ({ config }) => await checkFolder(config.path),
  verify: async ({ config }, evidence) => await verifyFiles(config.path, evidence),
  plan: async ({ config }, schemas) =>
    schemas.map(({ stream }) => {
      const name = fileNameFor(stream, 1, `jsonl${compressionSuffix[config.compression]}`, () => undefined)
      return `${config.mode === 'append' ? 'append to' : 'replace'} ${config.path}/${name}`
    }),
})
