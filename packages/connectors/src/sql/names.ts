/** Names of tables and columns: the stream's and the property's own where possible. */
import { createHash } from 'node:crypto'
import type { Dialect } from './types.ts'

const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8)

/** What a database may be given as a name: whole characters, no control characters, not empty, not too long. */
export const legalName = (name: string, maxBytes: number): string => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what must go
  const clean = name.toWellFormed().replaceAll(/[\u0000-\u001f\u007f]/g, '_')
  if (clean === '') return '_'
  if (Buffer.byteLength(clean) <= maxBytes) return clean
  const tail = `_${shortHash(name)}`
  let head = clean.slice(0, maxBytes)
  while (Buffer.byteLength(head) + tail.length > maxBytes) head = head.slice(0, -1)
  return head.toWellFormed().replaceAll('\ufffd', '_') + tail
}

/**
 * Names given out so far. Databases do not tell case apart, so names that differ only by case get a number: the first
 * keeps its name, the next is `name_2`; names that the database keeps for itself get a `_` in front. Because given names are kept in the catalog, they stay.
 */
export class Names {
  readonly #taken = new Set<string>()
  readonly #dialect: Dialect
  readonly #reserved: (name: string) => boolean

  constructor(dialect: Dialect, reserved: (name: string) => boolean, taken: Iterable<string> = []) {
    this.#dialect = dialect
    this.#reserved = reserved
    for (const name of taken) this.#taken.add(fold(name))
  }

  /** A free name, as near to the wanted one as can be, taken from now on. */
  claim(wanted: string): string {
    const max = this.#dialect.maxNameBytes
    const legal = legalName(wanted, max)
    const base = this.#reserved(legal) ? legalName(`_${legal}`, max) : legal
    for (let n = 1; ; n++) {
      const name = n === 1 ? base : `${legalName(base, max - 8)}_${n}`
      if (this.#taken.has(fold(name))) continue
      this.#taken.add(fold(name))
      return name
    }
  }

  /** Takes a name that somebody else gave. */
  take(name: string): void {
    this.#taken.add(fold(name))
  }

  /** Gives a name back. */
  release(name: string): void {
    this.#taken.delete(fold(name))
  }
}

/** The form in which two names are the same to a database. */
export const fold = (name: string): string => name.normalize('NFC').toLowerCase()
