/** A table for people: columns as wide as their widest cell, cut where the terminal is narrower. */
import { cut, oneLine, pad, widthOf } from './width.ts'

export interface Column {
  readonly title: string
  /** Numbers go to the right. Default left. */
  readonly align?: 'left' | 'right'
  /** At least this many columns stay when the table must shrink. Default 6. */
  readonly min?: number
}

export interface TableOptions {
  readonly columns: readonly (Column | string)[]
  readonly rows: readonly (readonly string[])[]
  /** Columns of the terminal; undefined where nothing must be cut (a file, a pipe). */
  readonly width?: number | undefined
  /** Spaces before each line. Default 0. */
  readonly indent?: number
  /** How the heading is written; plain by default. */
  readonly heading?: (text: string) => string
}

const GAP = 2

/** The lines of the table, each with its newline; nothing where there are no rows. Cells are put on one line. */
export const renderTable = (options: TableOptions): string => {
  if (options.rows.length === 0) return ''
  const columns = options.columns.map((c) => (typeof c === 'string' ? { title: c } : c)) as readonly Column[]
  const rows = options.rows.map((row) => columns.map((_, i) => oneLine(row[i] ?? '')))
  const widths = columns.map((c, i) => Math.max(widthOf(c.title), ...rows.map((r) => widthOf(r[i] as string))))
  const indent = options.indent ?? 0
  if (options.width !== undefined) shrink(widths, columns, options.width - indent)
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => {
        const width = widths[i] as number
        const text = cut(cell, width)
        const last = i === cells.length - 1
        return columns[i]?.align === 'right' ? pad(text, width, 'left') : last ? text : pad(text, width)
      })
      .join(' '.repeat(GAP))
      .trimEnd()
  const heading = options.heading ?? ((t: string) => t)
  const lead = ' '.repeat(indent)
  return [heading(line(columns.map((c) => c.title))), ...rows.map(line)].map((l) => `${lead}${l}\n`).join('')
}

/** Takes columns away from the widest until all fit; where even the least widths do not fit, lines are left too long. */
const shrink = (widths: number[], columns: readonly Column[], available: number): void => {
  const least = columns.map((c) => Math.max(c.min ?? 6, c.align === 'right' ? widthOf(c.title) : 0))
  let over = widths.reduce((a, b) => a + b, 0) + GAP * (widths.length - 1) - available
  while (over > 0) {
    let widest = -1
    for (let i = 0; i < widths.length; i++) {
      if (columns[i]?.align === 'right' || (widths[i] as number) <= (least[i] as number)) continue
      if (widest < 0 || (widths[i] as number) > (widths[widest] as number)) widest = i
    }
    if (widest < 0) return
    widths[widest] = (widths[widest] as number) - 1
    over--
  }
}
