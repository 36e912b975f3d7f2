/**
 * Read status as ranges in rows. Marking looks only at the rows that a mark touches, so that it costs what is marked, however much
 * is marked already; a mark behind the newest one grows a row.
 */
import type { Reader } from '../../domain/access.ts'
import { add, gaps, intersect, normalised, type OffsetRange, remove } from '../../domain/ranges.ts'
import type { ReadStatusOf, ReadStatusPlane } from '../control-plane.ts'
import type { Page, PageQuery, RangePage, ReaderStatus } from '../types.ts'
import { limitOf, pageOf } from './page.ts'
import { big, type Queries, type Row, type Sql, text, type Transaction } from './sql.ts'

/** Rows that one step looks at: memory stays bounded, however many a mark covers. */
const maxRows = 2_000
/** Ranges that one step marks. */
const maxMarks = 1_000

const rangeIn = (row: Row): OffsetRange => ({ first: big(row, 'first'), next: big(row, 'next') })

/** The rows that reach into or up to `first`, and begin before or at `next`: the first `limit` of them. */
const touching = async (
  q: Queries,
  { streamId, reader }: ReadStatusOf,
  { first, next }: OffsetRange,
  limit: number,
): Promise<readonly OffsetRange[]> => {
  const rows = await q.all(
    `select first, next from read_range where stream = ? and reader = ? and first <= ? and first >= coalesce(
       (select max(first) from read_range where stream = ? and reader = ? and first <= ?), ?)
     order by first limit ?`,
    streamId,
    reader,
    next,
    streamId,
    reader,
    first,
    first,
    // The first may end before, and must not take the place of one that counts.
    limit + 1,
  )
  return rows
    .map(rangeIn)
    .filter((r) => r.next >= first)
    .slice(0, limit)
}

/** In pieces of few sizes, so that there are few statements to prepare. */
const chunks = <T>(items: readonly T[]): readonly (readonly T[])[] => {
  const out: (readonly T[])[] = []
  for (let i = 0; i < items.length; ) {
    const size = items.length - i >= 100 ? 100 : items.length - i >= 10 ? 10 : 1
    out.push(items.slice(i, i + size))
    i += size
  }
  return out
}

/** Makes the rows `old` the rows `now`, touching only those that differ. */
const replace = async (
  tx: Transaction,
  { streamId, reader }: ReadStatusOf,
  old: readonly OffsetRange[],
  now: readonly OffsetRange[],
): Promise<void> => {
  const before = new Map(old.map((r) => [r.first, r.next]))
  const after = new Map(now.map((r) => [r.first, r.next]))
  for (const gone of chunks([...before.keys()].filter((first) => !after.has(first))))
    await tx.run(
      `delete from read_range where stream = ? and reader = ? and first in (${gone.map(() => '?').join(', ')})`,
      streamId,
      reader,
      ...gone,
    )
  for (const fresh of chunks([...after].filter(([first, next]) => before.get(first) !== next)))
    await tx.run(
      `insert into read_range (stream, reader, first, next) values ${fresh.map(() => '(?, ?, ?, ?)').join(', ')}
       on conflict (stream, reader, first) do update set next = excluded.next`,
      ...fresh.flatMap(([first, next]) => [streamId, reader, first, next]),
    )
}

/** Changes the set a piece at a time, and answers what changed. */
const change = async (
  tx: Transaction,
  of: ReadStatusOf,
  marks: readonly OffsetRange[],
  how: 'mark' | 'unmark',
): Promise<readonly OffsetRange[]> => {
  const changed: OffsetRange[] = []
  const queue: OffsetRange[][] = []
  const wanted = normalised(marks)
  for (let i = 0; i < wanted.length; i += maxMarks) queue.push(wanted.slice(i, i + maxMarks))
  for (let piece = queue.shift(); piece !== undefined; piece = queue.shift()) {
    const [head] = piece
    const tail = piece.at(-1)
    if (head === undefined || tail === undefined) continue
    const old = await touching(tx, of, { first: head.first, next: tail.next }, maxRows + 1)
    if (old.length > maxRows) {
      // More rows than one step looks at: the part that half of these rows cover first, then the rest.
      const upTo = [{ first: head.first, next: (old[maxRows / 2] as OffsetRange).first }]
      queue.unshift([...intersect(piece, upTo)], [...remove(piece, upTo)])
      continue
    }
    const now = how === 'mark' ? add(old, piece) : remove(old, piece)
    changed.push(...(how === 'mark' ? remove(piece, old) : intersect(piece, old)))
    await replace(tx, of, old, now)
  }
  return normalised(changed)
}

export class SqlReadStatus implements ReadStatusPlane {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  async #change(of: ReadStatusOf, ranges: readonly OffsetRange[], how: 'mark' | 'unmark') {
    if (ranges.length === 0) return []
    return await this.#sql.write(async (tx) => {
      await tx.lock(`read status ${of.streamId} ${of.reader}`)
      if (how === 'mark')
        await tx.run('insert into reader (stream, reader) values (?, ?) on conflict do nothing', of.streamId, of.reader)
      return await change(tx, of, ranges, how)
    })
  }

  mark(of: ReadStatusOf, ranges: readonly OffsetRange[]): Promise<readonly OffsetRange[]> {
    return this.#change(of, ranges, 'mark')
  }

  unmark(of: ReadStatusOf, ranges: readonly OffsetRange[]): Promise<readonly OffsetRange[]> {
    return this.#change(of, ranges, 'unmark')
  }

  /** The rows within bounds, cut to them; one more than the limit says that there are more. */
  async #within(of: ReadStatusOf, within: OffsetRange, limit: number) {
    const rows = await touching(this.#sql.read, of, { first: within.first, next: within.next - 1n }, limit + 1)
    const isCut = rows.length > limit
    const known: OffsetRange = { first: within.first, next: isCut ? (rows[limit] as OffsetRange).first : within.next }
    return { read: intersect(rows, [known]), known, next: isCut ? known.next : undefined }
  }

  async read(of: ReadStatusOf, within: OffsetRange, limit: number): Promise<RangePage> {
    const { read, next } = await this.#within(of, within, limit)
    return { ranges: read, next }
  }

  async unread(of: ReadStatusOf, within: OffsetRange, limit: number): Promise<RangePage> {
    const { read, known, next } = await this.#within(of, within, limit)
    return { ranges: gaps(read, known), next }
  }

  async countUnread({ streamId, reader }: ReadStatusOf, { first, next }: OffsetRange): Promise<bigint> {
    if (next <= first) return 0n
    const row = await this.#sql.read.get(
      `select coalesce(sum((case when next < ? then next else ? end) - (case when first > ? then first else ? end)), 0) as n
       from read_range where stream = ? and reader = ? and first < ? and next > ? and first >= coalesce(
         (select max(first) from read_range where stream = ? and reader = ? and first <= ?), ?)`,
      next,
      next,
      first,
      first,
      streamId,
      reader,
      next,
      first,
      streamId,
      reader,
      first,
      first,
    )
    return next - first - (row === undefined ? 0n : big(row, 'n'))
  }

  async readersOf(streamId: string, offset: bigint, query: PageQuery): Promise<Page<ReaderStatus>> {
    const limit = limitOf(query)
    const rows = await this.#sql.read.all(
      `select r.reader, (select x.next from read_range x where x.stream = r.stream and x.reader = r.reader and x.first <= ?
         order by x.first desc limit 1) as next
       from reader r where r.stream = ? and r.reader > ? order by r.reader limit ?`,
      offset,
      streamId,
      query.after ?? '',
      limit + 1,
    )
    return pageOf(
      rows,
      limit,
      (row) => ({
        reader: text(row, 'reader') as Reader,
        hasRead: row['next'] !== null && big(row, 'next') > offset,
      }),
      (last) => last.reader,
    )
  }

  async reset({ streamId, reader }: ReadStatusOf): Promise<void> {
    await this.#sql.write(async (tx) => {
      await tx.lock(`read status ${streamId} ${reader}`)
      for (const table of ['read_range', 'reader'])
        await tx.run(`delete from ${table} where stream = ? and reader = ?`, streamId, reader)
    })
  }
}
