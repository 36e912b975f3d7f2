import { type ConfigOf, MillraceError, text, choice, flag, type Field } from '@millrace/sdk'
import { kinds, type MemberScanner, unescaped } from './members.ts'

/** How lines are written. */
export const dialectSettings: {
  readonly delimiter: Field<string>
  readonly quote: Field<string>
  readonly header: Field<boolean>
  readonly nullText: Field<string>
  readonly lineEnding: Field<'crlf' | 'lf'>
} = {
  delimiter: text({ doc: 'The character between fields; \\t or tab for a tab.', default: ',' }),
  quote: text({
    doc: 'The character around fields that need it; doubled inside.',
    default: '"',
    aliases: ['quotechar'],
  }),
  header: flag({ doc: 'Begin each file with the names of its columns.', default: true }),
  nullText: text({
    doc: 'What null and missing fields are written as. An empty text is written "", so the two can be told apart; in a file of one column only where this is not empty.',
    default: '',
  }),
  lineEnding: choice(['crlf', 'lf'], { doc: 'The end of a line: crlf as RFC 4180 has it, or lf.', default: 'crlf' }),
}

type DialectConfig = ConfigOf<typeof dialectSettings>

const isOneByte = (text: string): boolean => /^[\t -~]$/.test(text) && !/[\w.+-]/.test(text)

/** Writes fields in one dialect into a buffer. */
export class Dialect {
  /** The dialect in one text: a file is never written in two. */
  readonly mark: string
  readonly header: boolean
  readonly #delimiter: number
  readonly #quote: number
  readonly #null: Buffer
  readonly #ending: Buffer
  /** Bytes because of which a field is quoted. */
  readonly #special = new Uint8Array(256)

  /** Throws CONFIG_INVALID. */
  constructor(config: DialectConfig) {
    const delimiter = config.delimiter === '\\t' || config.delimiter === 'tab' ? '\t' : config.delimiter
    const problems: string[] = []
    if (!isOneByte(delimiter)) problems.push('delimiter must be one ASCII character that no number has in it')
    if (!isOneByte(config.quote) || config.quote === delimiter)
      problems.push('quote must be one ASCII character, not the delimiter')
    if (config.nullText.includes(config.quote) || config.nullText.includes(delimiter) || /[\r\n]/.test(config.nullText))
      problems.push('nullText must not hold the delimiter, the quote or a line end')
    if (problems.length > 0) throw new MillraceError('CONFIG_INVALID', { what: 'persister csv', problems })
    this.#delimiter = delimiter.charCodeAt(0)
    this.#quote = config.quote.charCodeAt(0)
    this.#null = Buffer.from(config.nullText)
    this.#ending = Buffer.from(config.lineEnding === 'crlf' ? '\r\n' : '\n')
    this.header = config.header
    for (const c of [this.#delimiter, this.#quote, 10, 13]) this.#special[c] = 1
    this.mark = JSON.stringify([delimiter, config.quote, config.header, config.nullText, config.lineEnding])
  }

  /** The most bytes that a record of this size can take with so many columns. */
  room(size: number, columns: number): number {
    return 2 * size + columns * (this.#null.length + 3) + 2
  }

  /** The line of column names. */
  headerLine(columns: readonly string[]): Buffer {
    const names = columns.map((c) => Buffer.from(c))
    const to = Buffer.allocUnsafe(
      this.room(
        names.reduce((n, c) => n + c.length, 0),
        columns.length,
      ),
    )
    let at = 0
    for (const name of names) at = this.#delimit(to, this.#text(to, at, name, 0, name.length))
    return to.subarray(0, this.#end(to, at))
  }

  /** Writes a scanned record at `at`; answers where it ends. Throws VALUE_NOT_STORABLE. */
  row(to: Buffer, at: number, from: Buffer, fields: MemberScanner, names: readonly string[]): number {
    const { begin, end, kind } = fields
    let i = at
    for (let column = 0; column < names.length; column++) {
      const b = begin[column] as number
      const e = end[column] as number
      switch (kind[column]) {
        case kinds.text:
        case kinds.nested:
          i = this.#text(to, i, from, b, e)
          break
        case kinds.bare:
          for (let k = b; k < e; k++) to[i++] = from[k] as number
          break
        case kinds.escaped: {
          const text = unescaped(from.toString('utf8', b, e))
          if (!text.isWellFormed())
            throw new MillraceError('VALUE_NOT_STORABLE', {
              field: names[column],
              why: 'a lone surrogate cannot be written as UTF-8',
            })
          const bytes = Buffer.from(text)
          i = this.#text(to, i, bytes, 0, bytes.length)
          break
        }
        default:
          // A line with nothing on it is skipped by most readers, and the record would be gone.
          if (names.length === 1 && this.#null.length === 0) i = this.#text(to, i, this.#null, 0, 0)
          else i += this.#null.copy(to, i)
      }
      to[i++] = this.#delimiter
    }
    return this.#end(to, i)
  }

  #delimit(to: Buffer, at: number): number {
    to[at] = this.#delimiter
    return at + 1
  }

  /** The line's end takes the last delimiter's place. */
  #end(to: Buffer, at: number): number {
    return at - 1 + this.#ending.copy(to, at - 1)
  }

  #text(to: Buffer, at: number, from: Buffer, begin: number, end: number): number {
    let i = at
    let quoted = begin === end || (end - begin === this.#null.length && this.#null.equals(from.subarray(begin, end)))
    const special = this.#special
    for (let k = begin; k < end; k++) {
      const c = from[k] as number
      if (special[c] === 1) {
        quoted = true
        break
      }
      to[i++] = c
    }
    if (!quoted) return i
    i = at
    const quote = this.#quote
    to[i++] = quote
    for (let k = begin; k < end; k++) {
      const c = from[k] as number
      if (c === quote) to[i++] = quote
      to[i++] = c
    }
    to[i++] = quote
    return i
  }
}
