import { definePersister, type Persister, type PersisterSession, type RecordMessage } from '@millrace/sdk'
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
    const file = await this.#file(substream)
    const spool = this.#spool
    let { buffer, at } = spool
    let lines = 0
    for (const record of records) {
      const size = record.size
      if (at + size >= buffer.length) {
        spool.at = at
        await spool.spill(file, lines)
        await spool.makeRoom(size + 1)
        ;({ buffer, at } = spool)
        lines = 0
      }
      record.buffer.copy(buffer, at, record.from, record.to)
      at += size
      buffer[at++] = NEWLINE
      lines++
    }
    spool.at = at
    await spool.spill(file, lines)
    await spool.shrink()
  }

  async flush(): Promise<void> {
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
  supports: { upsert: false, exactNumbers: true, versions: false, opensRecords: false },
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
