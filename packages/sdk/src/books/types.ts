/** A count of records with their digest (see digest.ts) and their bytes. */
export interface Account {
  readonly records: number
  readonly bytes: number
  readonly digest: string
}

/**
 * The books of one substream in one run. They close when `received` = `stored` + `filtered` + `deadLettered`, by count
 * and by digest, and when `emitted`, where the streamer counted itself, equals `received`.
 * A record that a later one of the same run replaced counts as stored.
 */
export interface SubstreamBooks {
  readonly emitted?: Account
  readonly received: Account
  readonly stored: Account
  readonly filtered: Account
  readonly deadLettered: Account
}

/** The books of a run, by substream. */
export type Books = Readonly<Record<string, SubstreamBooks>>

/** A record, or a line, that was set aside. */
export interface DeadLetter {
  /** Empty where the line could not even be read. */
  readonly substream: string
  readonly line: number
  readonly code: string
  /** What was wrong: field and rule, never the value. */
  readonly reason: string
  readonly field?: string
  readonly rule?: string
  /** The record (or the unreadable line) as text; kept in the store, never logged. */
  readonly text: string
  /** The SCHEMA line it was checked against, so that it can be replayed. */
  readonly schema?: string
}
