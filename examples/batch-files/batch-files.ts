import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  definePersister,
  MillraceError,
  type Persister,
  type PersisterSession,
  type RecordMessage,
  systemCode,
  text,
} from '@millrace/sdk'

export const batchFiles: Persister = definePersister({
  name: 'batch-files',
  doc: 'Puts everything between two flushes into one file.',
  config: { path: text({ doc: 'The folder for the files', example: './batches' }) },
  supports: { upsert: false, exactNumbers: true, versions: false, opensRecords: false },
  async open({ config: { path } }) {
    await told(path, mkdir(path, { recursive: true }))
    const numbers = (await readdir(path)).map((name) => Number(/^(\d{6})\.jsonl$/.exec(name)?.[1] ?? 0))
    return new BatchSession(path, Math.max(0, ...numbers) + 1)
  },
})

class BatchSession implements PersisterSession {
  readonly #path: string
  #number: number
  #part: FileHandle | undefined
  #ended = false

  constructor(path: string, first: number) {
    this.#path = path
    this.#number = first
  }

  /** Nothing to do: a file of lines takes any schema. */
  async declare(): Promise<void> {}

  /** Into a file that nobody looks at yet. */
  async write(substream: string, records: readonly RecordMessage[]): Promise<void> {
    if (this.#ended) throw new MillraceError('DESTINATION_REFUSED', { what: this.#path, why: 'this session was ended' })
    const name = JSON.stringify(substream)
    const lines = records.map((record) => `{"substream":${name},"record":${record.bytes()}}\n`)
    this.#part ??= await told(this.#path, open(join(this.#path, 'next.part'), 'w'))
    await told(this.#path, this.#part.appendFile(lines.join('')))
  }

  /** The file's bytes are made durable, then it gets its name, then the name is made durable. */
  async flush(): Promise<void> {
    const part = this.#part
    if (part === undefined) return
    await told(this.#path, part.sync())
    await part.close()
    this.#part = undefined
    const name = `${String(this.#number).padStart(6, '0')}.jsonl`
    await told(this.#path, rename(join(this.#path, 'next.part'), join(this.#path, name)))
    await using folder = await open(this.#path, 'r')
    await told(this.#path, folder.sync())
    this.#number++
  }

  /** What was not flushed does not count. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true
    await this.#part?.close()
    await rm(join(this.#path, 'next.part'), { force: true })
  }
}

/** Waits; what the file system says becomes an error that a user can act on. */
const told = async <T>(what: string, work: Promise<T>): Promise<T> => {
  try {
    return await work
  } catch (cause) {
    const why = (cause as Error).message
    if (systemCode(cause) === 'ENOSPC') throw new MillraceError('DESTINATION_FULL', { what, why }, { cause })
    throw new MillraceError('DESTINATION_REFUSED', { what, why }, { cause })
  }
}
