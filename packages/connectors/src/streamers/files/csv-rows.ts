import { isUtf8 } from 'node:buffer'
import { exactNumber, type Json, type JsonObject, MillraceError } from '@millrace/sdk'
import { type CsvError, type Options, parse } from 'csv-parse/sync'
import type { Block } from './blocks.ts'

export interface Dialect {
  readonly delimiter: string
  /** Empty where nothing is quoted. */
  readonly quote: string
  /** This text, not quoted, is null. */
  readonly nullText: string
}

/** A type that the cells of a column have. Each may widen to text, integers to numbers first, dates to text. */
export type ColumnType = 'unknown' | 'boolean' | 'integer' | 'number' | 'date' | 'date-time' | 'text'
export type Columns = Readonly<Record<string, ColumnType>>

const candidates = [',', ';', '\t', '|'] as const

/** The delimiter of some lines: the one that cuts most of them into the same number of cells. */
export const detectDelimiter = (sample: string, quote: string): string => {
  const unquoted =
    quote === ''
      ? sample
      : sample
          .split(quote)
          .filter((_, i) => i % 2 === 0)
          .join('')
  const lines = unquoted
    .split(/\r?\n/)
    .filter((l) => l !== '')
    .slice(0, 50)
  let best: { readonly delimiter: string; readonly score: number } = { delimiter: ',', score: 0 }
  for (const delimiter of candidates) {
    const counts = lines.map((l) => l.split(delimiter).length - 1)
    const first = counts[0] ?? 0
    if (first === 0) continue
    const score = (counts.filter((n) => n === first).length / counts.length) * 1000 + first
    if (score > best.score) best = { delimiter, score }
  }
  return best.delimiter
}

/** The rows of a block. Cells that are null are null. Throws SOURCE_MALFORMED or MESSAGE_NOT_UTF8 with file and line. */
export const rowsOf = (block: Block, dialect: Dialect, source: string): (string | null)[][] => {
  const { bytes, line } = block
  if (!isUtf8(bytes)) throw new MillraceError('MESSAGE_NOT_UTF8', { source, line: line + badLine(bytes) })
  const { nullText } = dialect
  try {
    return parse(bytes, {
      ...optionsOf(dialect),
      cast: (cell: string, context: { readonly quoting: boolean }) =>
        cell === nullText && !context.quoting ? null : cell,
    } as Options) as unknown as (string | null)[][]
  } catch (e) {
    throw malformed(e as CsvError, block, source)
  }
}

const optionsOf = (dialect: Dialect): Options => ({
  delimiter: dialect.delimiter,
  quote: dialect.quote === '' ? false : dialect.quote,
  escape: dialect.quote === '' ? null : dialect.quote,
  bom: true,
  skip_empty_lines: true,
  relax_column_count: true,
})

const badLine = (bytes: Buffer): number => {
  let from = 0
  for (let n = 0; ; n++) {
    const end = bytes.indexOf(10, from)
    if (end < 0 || !isUtf8(bytes.subarray(from, end))) return n
    from = end + 1
  }
}

const malformed = (e: CsvError, block: Block, source: string): MillraceError => {
  const within = Number((e as unknown as { readonly lines?: number }).lines ?? 1)
  const line = block.line + within - 1
  const why =
    e.code === 'CSV_QUOTE_NOT_CLOSED'
      ? 'a quote that opens in this record is never closed'
      : /OPENING_QUOTE/.test(e.code)
        ? 'a quote stands in the middle of a cell that is not quoted'
        : /CLOSING_QUOTE/.test(e.code)
          ? 'a quoted cell goes on behind its closing quote'
          : (e.message.split('\n')[0] ?? e.code).replace(/ value is .*$/, '')
  return new MillraceError(
    'SOURCE_MALFORMED',
    { source, line: e.code === 'CSV_QUOTE_NOT_CLOSED' ? block.line : line, why },
    { cause: e },
  )
}

/** The line of the first row that has not `width` cells; only looked for when there is one. */
export const refuseRagged = (block: Block, dialect: Dialect, width: number, source: string): never => {
  const rows = parse(block.bytes, { ...optionsOf(dialect), info: true } as Options) as unknown as {
    readonly record: readonly string[]
    readonly info: { readonly lines: number }
  }[]
  const bad = rows.find((r) => r.record.length !== width)
  throw new MillraceError('SOURCE_MALFORMED', {
    source,
    line: block.line + (bad?.info.lines ?? 1) - 1,
    why: `has ${bad?.record.length ?? 0} cells where the file has ${width} columns`,
  })
}

/** Names of the columns: those of the header, each once, none empty. */
export const columnNames = (header: readonly (string | null)[]): string[] => {
  const used = new Set<string>()
  return header.map((cell, i) => {
    const wanted = (cell ?? '').trim() === '' ? `column_${i + 1}` : (cell as string).trim()
    let name = wanted
    for (let n = 2; used.has(name); n++) name = `${wanted}_${n}`
    used.add(name)
    return name
  })
}

const integer = /^(?:0|-?[1-9][0-9]*)$/
const decimal = /^-?(?:0|[1-9][0-9]*)\.[0-9]+$/
const day = /^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])$/
const instant =
  /^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2})$/

/**
 * The narrowest type of a cell. Numbers only where writing them back gives the same number: with leading zeros, a plus,
 * or an exponent it stays text.
 */
const typeOf = (cell: string): ColumnType => {
  const c = cell.charCodeAt(0)
  if (c === 116 || c === 102) return cell === 'true' || cell === 'false' ? 'boolean' : 'text'
  if (!(c === 45 || (c >= 48 && c <= 57))) return 'text'
  if (integer.test(cell)) return 'integer'
  if (decimal.test(cell)) return 'number'
  if (day.test(cell)) return 'date'
  return instant.test(cell) ? 'date-time' : 'text'
}

/** The type that holds both. */
export const widen = (a: ColumnType, b: ColumnType): ColumnType => {
  if (a === b || b === 'unknown') return a
  if (a === 'unknown') return b
  return (a === 'integer' && b === 'number') || (a === 'number' && b === 'integer') ? 'number' : 'text'
}

/** Whether a cell may stay in a column of this type. */
const fits = (cell: string, type: ColumnType): boolean => {
  switch (type) {
    case 'text':
      return true
    case 'unknown':
      return false
    case 'integer':
      return integer.test(cell)
    case 'number':
      return integer.test(cell) || decimal.test(cell)
    default:
      return typeOf(cell) === type
  }
}

/** The column types after these rows: the same object where nothing changed. `fixed` columns never change. */
export const widenColumns = (
  columns: Columns,
  names: readonly string[],
  rows: readonly (readonly (string | null)[])[],
  fixed: ReadonlySet<string>,
): Columns => {
  let changed: Record<string, ColumnType> | undefined
  for (const [i, name] of names.entries()) {
    if (fixed.has(name)) continue
    let type = columns[name] ?? 'unknown'
    const before = columns[name]
    for (const row of rows) {
      const cell = row[i]
      if (cell === null || cell === undefined || fits(cell, type)) continue
      type = widen(type, typeOf(cell))
      if (type === 'text') break
    }
    if (type !== before) {
      changed ??= { ...columns }
      changed[name] = type
    }
  }
  return changed ?? columns
}

const schemaTypes: Readonly<Record<ColumnType, JsonObject>> = {
  unknown: { type: ['null', 'string'] },
  boolean: { type: ['null', 'boolean'] },
  integer: { type: ['null', 'integer'] },
  number: { type: ['null', 'number'] },
  date: { type: ['null', 'string'], format: 'date' },
  'date-time': { type: ['null', 'string'], format: 'date-time' },
  text: { type: ['null', 'string'] },
}

/** The schema of these columns, with what was given for some of them. */
export const columnsSchema = (columns: Columns, given: JsonObject): JsonObject => ({
  type: 'object',
  properties: {
    ...Object.fromEntries(Object.entries(columns).map(([name, type]) => [name, schemaTypes[type]])),
    ...given,
  },
})

/** What type the cells of a column with this schema are written as. */
export const typeOfSchema = (schema: Json | undefined): ColumnType => {
  const types = [(schema as { readonly type?: Json } | undefined)?.type ?? 'string'].flat()
  return types.includes('string')
    ? 'text'
    : types.includes('number')
      ? 'number'
      : types.includes('integer')
        ? 'integer'
        : types.includes('boolean')
          ? 'boolean'
          : 'text'
}

/** A cell as a value of its column's type; text where it is none. */
export const cellValue = (cell: string | null, type: ColumnType): Json => {
  if (cell === null) return null
  switch (type) {
    case 'integer':
    case 'number':
      return integer.test(cell) || decimal.test(cell) ? exactNumber(Number(cell), cell) : cell
    case 'boolean':
      return cell === 'true' ? true : cell === 'false' ? false : cell
    default:
      return cell
  }
}
