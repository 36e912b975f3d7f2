/** Runs and their books as text. */
import type { Books } from '@millrace/sdk'
import { openBooks, type RunRecord } from '@millrace/server'
import type { Style } from '../terminal/style.ts'
import { count, duration, size } from '../terminal/format.ts'
import { renderTable } from '../terminal/table.ts'

/** The books as a table with a line that says whether they close. */
export const booksTable = (
  books: Books,
  o: {
    readonly style: Style
    readonly width: number | undefined
    /** Whether the run came to its end: then all that was emitted must have been received. */
    readonly complete: boolean
    /** Whether the persister kept books. Default: as it looks. */
    readonly kept?: boolean
  },
): string => {
  const all = Object.entries(books)
  if (all.length === 0) return ''
  const rows = all.filter(([, b]) => b.received.records > 0 || (b.emitted?.records ?? 0) > 0)
  const idle = all.filter((entry) => !rows.includes(entry)).map(([substream]) => substream)
  const idleLine = idle.length === 0 ? '' : `${o.style.dim('no records:')} ${idle.join(', ')}\n`
  // On a narrow terminal the digests go first; `runs show --json` has them.
  const hasRoom = o.width === undefined || o.width >= 100
  const right = (title: string): { readonly title: string; readonly align: 'right' } => ({ title, align: 'right' })
  const table =
    rows.length === 0
      ? ''
      : renderTable({
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
  if (!(o.kept ?? looksKept(books)))
    return `${table}${idleLine}No books: a persister of somebody else keeps none, so only what the streamer wrote is known.\n`
  const problems = openBooks(books, o.complete)
  if (problems.length === 0 && !o.complete)
    return `${table}${idleLine}Settled: received = stored + filtered + set aside. What the streamer wrote beyond that comes again.\n`
  if (problems.length === 0)
    return `${table}${idleLine}${o.style.green('The books close')}: emitted = stored + filtered + set aside, by count and by digest.\n`
  // A run that was cut short is red for its own reason; what it read and did not settle comes again.
  const words = o.complete ? o.style.red('The books do not close') : o.style.dim('Not settled when it ended')
  return `${table}${idleLine}${problems.map((p) => `${words}: ${p}\n`).join('')}`
}

/** A persister that received nothing of what was emitted kept no books, or had no time to. */
const looksKept = (books: Books): boolean =>
  Object.values(books).some((b) => b.received.records > 0) ||
  Object.values(books).every((b) => (b.emitted?.records ?? 0) === 0)

/** How long a run took, or takes. */
export const runDuration = (run: RunRecord): string =>
  run.endedAt === undefined ? '' : duration(Date.parse(run.endedAt) - Date.parse(run.startedAt))

/** How a run ended, in a word or two. */
export const runEnding = (run: RunRecord): string =>
  run.why === undefined ? 'running' : run.error === undefined ? run.why : `${run.why}: ${run.error.code}`
