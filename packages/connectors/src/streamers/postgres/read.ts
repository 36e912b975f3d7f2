import {
  type Bookmark,
  bookmark,
  EncodedRecords,
  isObject,
  type Json,
  type JsonObject,
  MillraceError,
  parseExact,
  type SubstreamContext,
} from '@millrace/sdk'
import type { Client } from 'pg'
import { connectPostgres } from '../../postgres/connect.ts'
import { translatePostgres } from '../../postgres/failures.ts'
import { type ConnectionTarget, nameOf } from '../../postgres/settings.ts'
import { CopyOut } from './copy-out.ts'
import { CopyRows } from './copy-rows.ts'
import type { SourceTable } from './tables.ts'
import { type Column, infinities, isUnbounded, quoteName, quoteText } from './types.ts'
import { spellingOf } from './values.ts'

const NEWLINE = 10

/** Times are written in UTC, dates as in ISO 8601, floats with all their digits, bytes in hexadecimal. */
export const sessionSql =
  "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 3; SET bytea_output = 'hex'; SET client_encoding = 'UTF8'; SET default_transaction_read_only = on"

/** Opens a connection for reading. Throws SOURCE_UNAVAILABLE and SOURCE_REFUSED. */
export const openSource = async (target: ConnectionTarget): Promise<Client> => {
  const client = await connectPostgres(target, 'SOURCE')
  try {
    await client.query(sessionSql)
    return client
  } catch (e) {
    await client.end().catch(() => {})
    throw failureOf(e, target)
  }
}

/** An error of the server in our words; `table` where it is about one. */
export const failureOf = (e: unknown, target: ConnectionTarget, table?: SourceTable): MillraceError =>
  translatePostgres(e, {
    what: table === undefined ? nameOf(target) : `${nameOf(target)}, table ${table.schema}.${table.name}`,
    side: 'SOURCE',
    grants: 'Let the user read it: GRANT USAGE ON SCHEMA … TO …; GRANT SELECT ON … TO …',
  })

/** How far a table was read by its replication key: rows from this value on come again. */
interface KeyPlace {
  readonly column: string
  /** The value as JSON has it. */
  readonly value: Json
}

const placeOf = (kept: Json | undefined, column: string): KeyPlace | undefined => {
  if (kept === undefined || !isObject(kept)) return undefined
  // A bookmark of another column says nothing of this one.
  return kept['column'] === column && kept['value'] !== undefined ? { column, value: kept['value'] } : undefined
}

/** The statement that gives the values of these columns; of those that {@link spellingOf} leaves to the server, their JSON; of `nulled`, null for infinity. */
const copySql = (
  table: SourceTable,
  columns: readonly Column[],
  key: { readonly column: Column; readonly from: KeyPlace | undefined } | undefined,
  nulled: ReadonlySet<string>,
): string => {
  // Rows of tables that inherit from it come with those.
  const from = `${table.isPlain ? 'ONLY ' : ''}${quoteName(table.schema)}.${quoteName(table.name)}`
  const values = columns.map((c) => {
    const name = quoteName(c.name)
    if (spellingOf(c) === 'server') return `to_json(${name})`
    return nulled.has(c.name)
      ? `CASE WHEN ${name}::text NOT IN (${infinities.map(quoteText).join(', ')}) THEN ${name} END`
      : name
  })
  const order = key === undefined ? '' : ` WHERE ${conditionOf(key)} ORDER BY ${quoteName(key.column.name)}`
  return `COPY (SELECT ${values.join(', ')} FROM ${from}${order}) TO STDOUT`
}

const conditionOf = ({ column, from }: { readonly column: Column; readonly from: KeyPlace | undefined }): string => {
  const name = quoteName(column.name)
  if (from === undefined) return `${name} IS NOT NULL`
  const text = typeof from.value === 'string' ? from.value : String(from.value)
  // Times without a zone were written as UTC.
  const value = column.type === 'timestamp' ? `(${quoteText(text)}::timestamptz AT TIME ZONE 'UTC')` : quoteText(text)
  return `${name} >= ${value}`
}

/** What one substream is read by. */
export interface Reading {
  readonly target: ConnectionTarget
  readonly table: SourceTable
  /** The column by which only new rows are read; undefined: the whole table. */
  readonly replicationKey: string | undefined
  /** Columns whose infinities and NaN become null. */
  readonly nulled?: ReadonlySet<string>
  /** A snapshot that another session exported: the rows are those of its moment. */
  readonly snapshot?: string
}

/**
 * The rows of a table as RECORD lines, in one statement and so of one moment. With a replication key in its order, each block
 * followed by how far it got. What the server sends waits in the connection while nobody asks.
 */
export async function* readTable(
  { target, table, replicationKey, nulled = new Set(), snapshot }: Reading,
  ctx: SubstreamContext,
): AsyncGenerator<EncodedRecords | Bookmark, void, undefined> {
  const wanted = table.columns.filter(
    (c) =>
      ctx.fields === undefined || ctx.fields.has(c.name) || table.keys.includes(c.name) || c.name === replicationKey,
  )
  const before = `{"type":"RECORD","stream":${JSON.stringify(table.substream)},"record":`
  const after = ctx.version === undefined ? '}' : `,"version":${ctx.version}}`
  const around = { before: Buffer.byteLength(before), after: after.length, versioned: true }
  const columns = wanted.map((c) => ({ name: c.name, spelling: spellingOf(c) }))
  const key = table.columns.find((c) => c.name === replicationKey)
  const place = key === undefined ? undefined : { column: key, from: placeOf(ctx.bookmark, key.name) }
  const client = await openSource(target)
  // Ending the connection ends a statement that waits for the server.
  const stop = (): void => void client.connection.stream.destroy()
  ctx.signal.addEventListener('abort', stop, { once: true })
  let isRead = false
  try {
    if (snapshot !== undefined)
      await client.query(
        `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT${quoteText(snapshot)}`,
      )
    const copy = client.query(
      new CopyOut(copySql(table, wanted, place, nulled), new CopyRows({ columns, before, after })),
    )
    for await (const lines of copy.lines()) {
      yield new EncodedRecords(lines.bytes, lines.count, around)
      const greatest = key === undefined ? undefined : greatestValue(lines.bytes, key, table)
      if (key !== undefined && greatest !== undefined) yield bookmark({ column: key.name, value: greatest })
    }
    isRead = true
  } catch (e) {
    if (ctx.signal.aborted) return
    throw failureOf(e, target, table)
  } finally {
    ctx.signal.removeEventListener('abort', stop)
    // What the server still has to send is not waited for.
    if (!isRead) stop()
    await client.end().catch(() => {})
  }
}

const isBounded = (value: Json, column: Column): boolean =>
  !isUnbounded(column) || typeof value !== 'string' || !infinities.includes(value)

/**
 * The greatest value of the replication key in these lines: that of the last, as they come in its order. PostgreSQL sorts infinity
 * and NaN behind everything; beyond them nothing would ever be new, so the last line before them counts. Undefined where there is none.
 */
const greatestValue = (lines: Buffer, column: Column, table: SourceTable): Json | undefined => {
  for (let end = lines.length - 1; end > 0; ) {
    const from = lines.lastIndexOf(NEWLINE, end - 1) + 1
    const { record } = parseExact(lines.toString('utf8', from, end)) as { readonly record: JsonObject }
    const value = record[column.name]
    if (value === undefined || value === null)
      throw new MillraceError('SOURCE_MALFORMED', {
        source: `${table.schema}.${table.name}`,
        why: `a row has no ${column.name}`,
      })
    if (isBounded(value, column)) return value
    end = from - 1
  }
  return undefined
}
