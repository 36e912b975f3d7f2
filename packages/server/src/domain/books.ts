/** Closing the books of a run: does every record that came out of the streamer stand somewhere? */
import { type Account, addDigests, type Books, type EmittedReport, type SubstreamBooks } from '@millrace/sdk'

const nothing: Account = { records: 0, bytes: 0, digest: '0000000000000000' }

/** The sum of accounts. */
const sum = (...accounts: readonly Account[]): Account => ({
  records: accounts.reduce((n, a) => n + a.records, 0),
  bytes: accounts.reduce((n, a) => n + a.bytes, 0),
  digest: addDigests(...accounts.map((a) => a.digest)),
})

const noAccounts = { received: nothing, stored: nothing, filtered: nothing, deadLettered: nothing }

/** The books of parts of a run, together. What the streamer emitted is not in them. */
export const addBooks = (...parts: readonly Books[]): Books => {
  const all = new Map<string, SubstreamBooks>()
  for (const part of parts)
    for (const [substream, b] of Object.entries(part)) {
      const so = all.get(substream) ?? noAccounts
      all.set(substream, {
        received: sum(so.received, b.received),
        stored: sum(so.stored, b.stored),
        filtered: sum(so.filtered, b.filtered),
        deadLettered: sum(so.deadLettered, b.deadLettered),
      })
    }
  return Object.fromEntries(all)
}

/** The books of one record, or line, that was received and set aside. */
export const setAsideBooks = (
  substream: string,
  record: { readonly bytes: number; readonly digest: string },
): Books => {
  const account: Account = { records: 1, ...record }
  return { [substream]: { ...noAccounts, received: account, deadLettered: account } }
}

/** The books with what the streamer says it wrote. Its bytes are not counted: they are the received ones where both agree, else 0. */
export const withEmitted = (books: Books, emitted: EmittedReport['substreams'] | undefined): Books => {
  if (emitted === undefined) return books
  // A substream may be called __proto__.
  const all = new Map<string, SubstreamBooks>(Object.entries(books))
  for (const [substream, { records, digest }] of Object.entries(emitted)) {
    const own = all.get(substream) ?? { received: nothing, stored: nothing, filtered: nothing, deadLettered: nothing }
    const same = own.received.records === records && own.received.digest === digest
    all.set(substream, { ...own, emitted: { records, digest, bytes: same ? own.received.bytes : 0 } })
  }
  return Object.fromEntries(all)
}

/**
 * What does not close, one line of text each; none where the books are closed. `emitted` is compared only where the
 * streamer reported (`complete` false leaves it out: a streamer that was stopped may have written more than was read).
 */
export const openBooks = (books: Books, complete: boolean): readonly string[] => {
  const problems: string[] = []
  for (const [substream, b] of Object.entries(books)) {
    const settled = sum(b.stored, b.filtered, b.deadLettered)
    if (settled.records !== b.received.records)
      problems.push(
        `${substream}: ${b.received.records} received, but ${b.stored.records} stored + ${b.filtered.records} filtered + ${b.deadLettered.records} dead-lettered`,
      )
    else if (settled.digest !== b.received.digest)
      problems.push(`${substream}: the digest of what was received is not that of what was settled`)
    if (!complete || b.emitted === undefined) continue
    if (b.emitted.records !== b.received.records)
      problems.push(`${substream}: ${b.emitted.records} emitted, ${b.received.records} received`)
    else if (b.emitted.digest !== b.received.digest)
      problems.push(`${substream}: the digest of what was emitted is not that of what was received`)
  }
  return problems
}

/** All records of some books, by what became of them. */
export const totals = (
  books: Books,
): {
  readonly received: number
  readonly stored: number
  readonly filtered: number
  readonly deadLettered: number
  readonly bytes: number
} => {
  const all = Object.values(books)
  const of = (pick: (b: SubstreamBooks) => Account): number => all.reduce((n, b) => n + pick(b).records, 0)
  return {
    received: of((b) => b.received),
    stored: of((b) => b.stored),
    filtered: of((b) => b.filtered),
    deadLettered: of((b) => b.deadLettered),
    bytes: all.reduce((n, b) => n + b.received.bytes, 0),
  }
}
