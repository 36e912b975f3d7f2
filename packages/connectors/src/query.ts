/** Looking into a database that a persister made: read only, and never while it is the file of a run that writes. */
import { existsSync, openSync, readSync, closeSync } from 'node:fs'
import { MillraceError } from '@millrace/sdk'

/** What a query answered. Values are text as a person reads them; null where there is none. */
export interface QueryAnswer {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly (string | null)[])[]
}

/** An open database. */
export interface DatabaseReader extends AsyncDisposable {
  /** Throws DESTINATION_REFUSED for a query that the database does not take. */
  query(sql: string): Promise<QueryAnswer>
  /** Its tables, in the order of their names. */
  tables(): Promise<readonly string[]>
}

/** Whether this names a database on a server, and no file. */
export const isDatabaseUrl = (text: string): boolean => /^postgres(ql)?:\/\//i.test(text)

/**
 * Opens a SQLite or DuckDB file, told apart by its first bytes, or a PostgreSQL database by its URL. Throws
 * DESTINATION_UNAVAILABLE, DESTINATION_REFUSED.
 */
export const openDatabaseReader = async (file: string): Promise<DatabaseReader> => {
  if (isDatabaseUrl(file)) return await openPostgres(file)
  if (!existsSync(file))
    throw new MillraceError('DESTINATION_UNAVAILABLE', { what: file, why: 'there is no such file' })
  const begins = firstBytes(file)
  if (begins.startsWith('SQLite format 3')) return await openSqlite(file)
  // https://duckdb.org/docs/stable/internals/storage: the magic bytes stand behind a checksum of eight bytes.
  if (begins.startsWith('DUCK', 8)) return await openDuckdb(file)
  throw new MillraceError('DESTINATION_REFUSED', {
    what: file,
    why: 'by its first bytes it is neither a SQLite nor a DuckDB database',
    fix: 'Check the path; a file that was such a database is damaged, and is to be taken from a backup or loaded anew.',
  })
}

const firstBytes = (file: string): string => {
  const fd = openSync(file, 'r')
  try {
    const bytes = Buffer.alloc(16)
    readSync(fd, bytes, 0, 16, 0)
    return bytes.toString('latin1')
  } finally {
    closeSync(fd)
  }
}

const refused = (file: string, e: unknown): MillraceError =>
  new MillraceError(
    'DESTINATION_REFUSED',
    { what: file, why: (e as Error).message.split('\n')[0] ?? 'it failed', fix: 'Check the file and the query.' },
    { cause: e },
  )

const openSqlite = async (file: string): Promise<DatabaseReader> => {
  const { DatabaseSync } = await import('node:sqlite')
  const db = new DatabaseSync(file, { readOnly: true, readBigInts: true, timeout: 5000 })
  const query = async (sql: string): Promise<QueryAnswer> => {
    try {
      const statement = db.prepare(sql)
      statement.setReturnArrays(true)
      const columns = statement.columns().map((c) => c.name)
      const rows = statement.all() as unknown as readonly (readonly unknown[])[]
      return { columns, rows: rows.map((row) => row.map(textOf)) }
    } catch (e) {
      throw refused(file, e)
    }
  }
  return {
    query,
    tables: async () =>
      (
        await query("select name from sqlite_master where type = 'table' and name not like 'sqlite_%' order by 1")
      ).rows.map((r) => r[0] ?? ''),
    [Symbol.asyncDispose]: async () => db.close(),
  }
}

const openDuckdb = async (file: string): Promise<DatabaseReader> => {
  const { DuckDBInstance } = await import('@duckdb/node-api')
  let instance: Awaited<ReturnType<typeof DuckDBInstance.create>>
  try {
    instance = await DuckDBInstance.create(file, { access_mode: 'READ_ONLY' })
  } catch (e) {
    if (/lock/i.test((e as Error).message)) throw new MillraceError('DESTINATION_BUSY', { what: file }, { cause: e })
    throw refused(file, e)
  }
  const connection = await instance.connect()
  const query = async (sql: string): Promise<QueryAnswer> => {
    try {
      const reader = await connection.runAndReadAll(sql)
      return { columns: reader.columnNames(), rows: reader.getRows().map((row) => row.map(textOf)) }
    } catch (e) {
      throw refused(file, e)
    }
  }
  return {
    query,
    tables: async () =>
      (await query("select table_name from information_schema.tables where table_schema = 'main' order by 1")).rows.map(
        (r) => r[0] ?? '',
      ),
    [Symbol.asyncDispose]: async () => {
      connection.closeSync()
      instance.closeSync()
    },
  }
}

/** One transaction that may only read. Its tables are those of the search path (`?options=-csearch_path%3Draw`). */
const openPostgres = async (url: string): Promise<DatabaseReader> => {
  const [{ connectPostgres }, { nameOf, targetOf }, { translatePostgres }] = await Promise.all([
    import('./postgres/connect.ts'),
    import('./postgres/settings.ts'),
    import('./postgres/failures.ts'),
  ])
  const none = undefined
  const target = targetOf({
    ...{ url, host: none, port: none, user: none, password: none, database: none, sslmode: none, sslrootcert: none },
  })
  const client = await connectPostgres(target, 'DESTINATION')
  const query = async (sql: string): Promise<QueryAnswer> => {
    try {
      const { fields, rows } = await client.query<(string | null)[]>({
        text: sql,
        rowMode: 'array',
        // As PostgreSQL writes them.
        types: { getTypeParser: () => (text: string) => text },
      })
      return { columns: fields.map((f) => f.name), rows }
    } catch (e) {
      throw translatePostgres(e, { what: nameOf(target), side: 'DESTINATION' })
    }
  }
  await query('BEGIN TRANSACTION READ ONLY')
  return {
    query,
    tables: async () =>
      (
        await query(
          "SELECT relname FROM pg_catalog.pg_class c WHERE relkind IN ('r', 'p') AND pg_catalog.pg_table_is_visible(oid) AND relnamespace = ANY (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ANY (current_schemas(false))) ORDER BY 1",
        )
      ).rows.map((r) => r[0] ?? ''),
    [Symbol.asyncDispose]: async () => await client.end(),
  }
}

/** The database's own values have their own text; bytes are shown as hexadecimal digits. */
const textOf = (value: unknown): string | null =>
  value === null || value === undefined
    ? null
    : value instanceof Uint8Array
      ? `x'${Buffer.from(value).toString('hex')}'`
      : String(value)

/** A name as SQL writes it. */
export const sqlName = (name: string): string => `"${name.replaceAll('"', '""')}"`
