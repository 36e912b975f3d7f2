/**
 * Values that a change does not bring: large ones that it did not touch (TOAST), and generated columns. They are asked for by the
 * key, as they are now: where they changed meanwhile, that change comes later and says the same.
 */
import type { Client } from 'pg'
import type { ConnectionTarget } from '../../../postgres/settings.ts'
import { openSource } from '../read.ts'
import type { SourceTable } from '../tables.ts'
import { quoteName } from '../types.ts'
import { failureOfLog } from './failures.ts'

/** SQLSTATEs of a table or a column that is gone: then nobody can know the value. */
const GONE: readonly string[] = ['42P01', '42703', '3F000']

const raw = { getTypeParser: () => (text: string) => text }

export class Fetcher implements AsyncDisposable {
  readonly #target: ConnectionTarget
  #client: Client | undefined

  constructor(target: ConnectionTarget) {
    this.#target = target
  }

  /** The connection, opened when it is first asked for. Throws SOURCE_*. */
  async client(): Promise<Client> {
    this.#client ??= await openSource(this.#target)
    return this.#client
  }

  /**
   * The values of `columns` in the rows with these keys, in their order; undefined for a row that is not there any more, and for all
   * where the table or a column is gone. Throws SOURCE_*.
   */
  async values(
    table: SourceTable,
    keys: readonly string[],
    wanted: { readonly columns: readonly string[]; readonly rows: readonly (readonly (string | undefined)[])[] },
  ): Promise<readonly (readonly (string | null)[] | undefined)[]> {
    const types = await this.#keyTypes(table, keys)
    const found: (readonly (string | null)[] | undefined)[] = wanted.rows.map(() => undefined)
    if (types.length < keys.length) return found
    const names = keys.map((_, i) => `k${i}`)
    const arrays = keys.map((_, i) => `$${i + 1}::text[]`)
    const only = table.isPlain ? 'ONLY ' : ''
    const sql = `SELECT k.n, ${wanted.columns.map((c) => `t.${quoteName(c)}`).join(', ')}
      FROM unnest(${arrays.join(', ')}) WITH ORDINALITY AS k (${names.join(', ')}, n)
      JOIN ${only}${quoteName(table.schema)}.${quoteName(table.name)} t ON ${keys.map((key, i) => `t.${quoteName(key)} = k.k${i}::${types[i]}`).join(' AND ')}`
    const values = keys.map((_, i) => wanted.rows.map((row) => row[i] ?? null))
    try {
      const client = await this.client()
      const { rows } = await client.query<(string | null)[]>({ text: sql, values, rowMode: 'array', types: raw })
      for (const [n, ...row] of rows) found[Number(n) - 1] = row
      return found
    } catch (e) {
      if (GONE.includes((e as { readonly code?: string }).code ?? '')) return found
      throw failureOfLog(e, this.#target)
    }
  }

  /** The types of the keys, as they are written in a cast. */
  async #keyTypes(table: SourceTable, keys: readonly string[]): Promise<readonly string[]> {
    try {
      const client = await this.client()
      const { rows } = await client.query<{ readonly name: string; readonly type: string }>(
        'SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = $1 AND attname = ANY ($2) AND NOT attisdropped',
        [table.log.oid, keys],
      )
      const types = new Map(rows.map((r) => [r.name, r.type]))
      return keys.flatMap((k) => types.get(k) ?? [])
    } catch (e) {
      throw failureOfLog(e, this.#target)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client?.end().catch(() => {})
  }
}
