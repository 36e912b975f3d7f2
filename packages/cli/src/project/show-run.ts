/** Runs and their books as text. */
import type { Books } from '@millrace/sdk'
import { openBooks, type RunRecord } from '@millrace/server'
import type { Style } from '../terminal/style.ts'
import { count, duration, size } from '../terminal/format.ts'
import { renderTable } from '../terminal/table.ts'

/** The books as a table with a line that says whether they close. */
export const booksTable = (
  books: Books,
  o: { readonly style: Style; readonly width: number | undefined; readonly complete: boolean },
): string => {
  const rows = Object.entries(books)
  if (rows.length === 0) return ''
  // On a narrow terminal the digests go first; `runs show --json` has them.
  const hasRoom = o.width === undefined || o.width >= 100
  const right = (title: string): { readonly title: string; readonly align: 'right' } => ({ title, align: 'right' })
  const table = renderTable({
    columns: [
      'substream',
      right('emitted'),
      right('received'),
      right('stored'),
      right('filtered'),
      right('set aside'),
      right('bytes'),
      ...(hasRoom ? ['digest'] : []),
    ],
    rows: rows.map(([substream, b]) => [
      substream,
      b.emitted === undefined ? '' : count(b.emitted.records),
      count(b.received.records),
      count(b.stored.records),
      count(b.filtered.records),
      count(b.deadLettered.records),
      size(b.received.bytes),
      ...(hasRoom ? [b.received.digest] : []),
    ]),
    width: o.width,
    heading: o.style.dim,
  })
  const problems = openBooks(books, o.complete)
  return problems.length === 0
    ? `${table}${o.style.green('The books close')}: emitted = stored + filtered + set aside, by count and by digest.\n`
    : `${table}${problems.map((p) => `${o.style.red('The books do not close')}: ${p}\n`).join('')}`
}

/** How long a run took, or takes. */
export const runDuration = (run: RunRecord): string =>
  run.endedAt === undefined ? '' : duration(Date.parse(run.endedAt) - Date.parse(run.startedAt))

/** How a run ended, in a word or two. */
export const runEnding = (run: RunRecord): string =>
  run.why === undefined ? 'running' : run.error === undefined ? run.why : `${run.why}: ${run.error.code}`
