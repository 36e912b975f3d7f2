/** The SQLite file as the shared session sees it: calls go to the thread that owns it, rows without a copy. */
import { once } from 'node:events'
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { MillraceError, systemCode } from '@millrace/sdk'
import type {
  ActiveVersion,
  Cell,
  Column,
  Dialect,
  RowEncoder,
  SqlDatabase,
  Table,
  TableChange,
} from '../../sql/types.ts'
import { sqliteDialect } from './dialect.ts'
import { PackPool, RowPacker } from './packed-rows.ts'
import type { Answer, Call } from './worker.ts'

/** Batches that may wait for the thread: so much is in memory beside the one that is packed. */
const MAX_WAITING = 3
const MAGIC = 'SQLite format 3\0'

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (e: Error) => void
}

export class SqliteDatabase implements SqlDatabase {
  readonly dialect: Dialect = sqliteDialect
  readonly #path: string
  readonly #worker: Worker
  readonly #exited: Promise<unknown>
  readonly #waiting = new Map<number, Waiting>()
  readonly #loads = new Set<Promise<void>>()
  readonly #pool = new PackPool()
  #nextId = 1
  #failure: Error | undefined
  #closed: Promise<void> | undefined

  private constructor(path: string, worker: Worker) {
    this.#path = path
    this.#worker = worker
    this.#exited = once(worker, 'exit')
    worker.on('message', (answer: Answer) => this.#answered(answer))
    worker.on('error', (e) => this.#ended(e))
    worker.on('exit', () => this.#ended(new Error('the thread of the database ended')))
  }

  /**
   * Opens the file; to write it is made where it is not there. Throws DESTINATION_REFUSED (not a database, no such
   * folder, not allowed) and DESTINATION_BUSY.
   */
  static async open(path: string, access: 'write' | 'read'): Promise<SqliteDatabase> {
    checkFile(path)
    const file = new URL(import.meta.resolve('@millrace/connectors/sqlite-thread'))
    const worker = new Worker(file, { workerData: { path, access }, stdout: false, stderr: false })
    const db = new SqliteDatabase(path, worker)
    try {
      await new Promise((resolve, reject) => db.#waiting.set(0, { resolve, reject }))
    } catch (e) {
      await worker.terminate()
      throw e
    }
    return db
  }

  async readCatalog(): Promise<readonly string[]> {
    return (await this.#call('readCatalog', [])) as readonly string[]
  }

  async columnsOf(table: string): Promise<readonly string[] | undefined> {
    return (await this.#call('columnsOf', [table])) as readonly string[] | undefined
  }

  async change(changes: readonly TableChange[]): Promise<void> {
    const rekeyed = changes.find((c) => c.kind === 'rekey')
    try {
      await this.#call('change', [changes])
    } catch (e) {
      const { errcode } = (e as { cause?: { errcode?: number } }).cause ?? {}
      if (rekeyed === undefined || errcode === undefined || (errcode & 0xff) !== SQLITE_CONSTRAINT) throw e
      throw new MillraceError(
        'SCHEMA_CHANGE_REFUSED',
        {
          stream: rekeyed.table.substream,
          field: 'key_properties',
          to: rekeyed.table.keys.join(', '),
          from: rekeyed.from.join(', ') || '(none)',
          fix: 'Rows that are there have no values, or the same, in the new keys: rebuild the table from the beginning.',
        },
        { cause: e },
      )
    }
  }

  encoder(table: Table): RowEncoder {
    return new RowPacker(table, this.#pool)
  }

  async load(table: Table, rows: RowEncoder): Promise<void> {
    const packed = (rows as RowPacker).take()
    await this.#later(this.#call('load', [table, packed]).then(() => this.#pool.giveBack(packed)))
  }

  async removeGroups(table: Table, columns: readonly Column[], groups: readonly (readonly Cell[])[]): Promise<void> {
    await this.#later(this.#call('removeGroups', [table, columns, groups]))
  }

  async retire(
    table: Table,
    children: readonly Table[],
    version: ActiveVersion,
    deletedAt: string | undefined,
  ): Promise<void> {
    await this.#call('retire', [table, children, version, deletedAt])
  }

  async purge(table: Table, children: readonly Table[]): Promise<void> {
    await this.#call('purge', [table, children])
  }

  async commit(catalog: readonly { readonly table: string; readonly entry: string }[]): Promise<void> {
    await this.#call('commit', [catalog])
    // It is durable now; what follows goes on beside the next batches.
    await this.#later(this.#call('settle', []))
  }

  async measure(table: Table): Promise<{ readonly rows: number; readonly fingerprint: string | undefined }> {
    return (await this.#call('measure', [table])) as { readonly rows: number; readonly fingerprint: string | undefined }
  }

  /** Undoes what was not committed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    await this.#closed
  }

  async #close(): Promise<void> {
    if (this.#failure === undefined) this.#post('close', []).catch(() => {})
    await this.#exited
  }

  /** Lets a call go on in the background; waits where too many do. Its error is thrown by a later call. */
  async #later(call: Promise<unknown>): Promise<void> {
    const load: Promise<void> = call.then(
      () => {
        this.#loads.delete(load)
      },
      () => {
        this.#loads.delete(load)
      },
    )
    this.#loads.add(load)
    while (this.#loads.size >= MAX_WAITING) await Promise.race(this.#loads)
  }

  async #call(method: Call['method'], args: readonly unknown[]): Promise<unknown> {
    try {
      return await this.#post(method, args)
    } catch (e) {
      throw translate(e as SqliteFailure, this.#path)
    }
  }

  #post(method: Call['method'], args: readonly unknown[]): Promise<unknown> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage({ id, method, args } satisfies Call)
    })
  }

  #answered({ id, value, error }: Answer): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve(value)
    else waiting?.reject(id === 0 ? translate(new SqliteFailure(error), this.#path) : new SqliteFailure(error))
  }

  #ended(e: Error): void {
    this.#failure ??= e
    for (const waiting of this.#waiting.values()) waiting.reject(this.#failure)
    this.#waiting.clear()
  }
}

/** An error of SQLite, told by the thread. */
class SqliteFailure extends Error {
  readonly errcode: number | undefined
  readonly method: string
  constructor(e: NonNullable<Answer['error']>) {
    super(e.message)
    this.errcode = e.errcode
    this.method = e.method
  }
}

// Primary result codes, https://sqlite.org/rescode.html
const SQLITE_BUSY = 5
const SQLITE_READONLY = 8
const SQLITE_IOERR = 10
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_CANTOPEN = 14
const SQLITE_CONSTRAINT = 19
const SQLITE_NOTADB = 26

const translate = (e: SqliteFailure, path: string): MillraceError => {
  const what = path
  switch ((e.errcode ?? 0) & 0xff) {
    case SQLITE_BUSY:
      return new MillraceError('DESTINATION_BUSY', { what }, { cause: e })
    case SQLITE_FULL:
      return new MillraceError('DESTINATION_FULL', { what, why: e.message }, { cause: e })
    case SQLITE_IOERR:
      return new MillraceError(
        'DESTINATION_UNAVAILABLE',
        {
          what,
          why: e.message,
          fix: 'Look at the disk: is it full or failing? Run again; nothing after the last state was kept.',
        },
        { cause: e },
      )
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      return new MillraceError(
        'DESTINATION_REFUSED',
        { what, why: e.message, fix: 'The file and its folder must be writable.' },
        { cause: e },
      )
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return new MillraceError(
        'DESTINATION_REFUSED',
        { what, why: e.message, fix: 'Choose another path, or restore the database from a copy.' },
        { cause: e },
      )
    default:
      return new MillraceError('DESTINATION_REFUSED', { what, why: e.message.split('\n')[0] ?? '' }, { cause: e })
  }
}

/** What SQLite would say late or not at all. */
const checkFile = (path: string): void => {
  const folder = statOf(dirname(path))
  if (folder === undefined || !folder.isDirectory())
    throw new MillraceError('DESTINATION_REFUSED', {
      what: path,
      why: 'its folder is not there',
      fix: `Make the folder ${dirname(path)} or choose another path.`,
    })
  const file = statOf(path)
  if (file === undefined || (file.isFile() && file.size === 0)) return
  if (!file.isFile())
    throw new MillraceError('DESTINATION_REFUSED', {
      what: path,
      why: 'it is not a file',
      fix: 'Choose the path of a file.',
    })
  const head = Buffer.alloc(MAGIC.length)
  const fd = openForReading(path)
  try {
    readSync(fd, head, 0, head.length, 0)
  } finally {
    closeSync(fd)
  }
  if (head.toString('latin1') !== MAGIC)
    throw new MillraceError('DESTINATION_REFUSED', {
      what: path,
      why: 'it is not an SQLite database',
      fix: 'Choose another path: that file was left as it is.',
    })
}

const openForReading = (path: string): number => {
  try {
    return openSync(path, 'r')
  } catch (e) {
    throw new MillraceError(
      'DESTINATION_REFUSED',
      {
        what: path,
        why: systemCode(e) ?? 'it cannot be opened',
        fix: 'The file and its folder must be readable and writable.',
      },
      { cause: e },
    )
  }
}

const statOf = (path: string): ReturnType<typeof statSync> => {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}
