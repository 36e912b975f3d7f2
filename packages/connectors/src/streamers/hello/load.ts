/**
 * Load: records made as fast as they can be written, straight into bytes. Record i is a function of the seed and i
 * alone, so a run that was killed goes on with the very records it would have written.
 */
import {
  bookmark,
  EncodedRecords,
  type Json,
  type JsonObject,
  MillraceError,
  type Substream,
  type Yielded,
} from '@millrace/sdk'
import { LineBuffer, Piece } from './line-buffer.ts'

export interface LoadSettings {
  readonly count: number
  readonly updates: number
  readonly stateEvery: number
  readonly seed: number
}

/** Lines are handed over in blocks of about this size: a pipe takes 64 KiB at a time. */
const blockBytes = 128 * 1024
/** No line is longer. */
const maxLineBytes = 2048

const words =
  'alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa quebec romeo sierra tango uniform victor whiskey xray yankee zulu'.split(
    ' ',
  )
const odd = [
  'naïve café',
  'Ελληνικά',
  '東京都',
  'emoji 🚚📦',
  'say "hi"',
  'tab\there',
  'line\nbreak',
  'back\\slash',
  'Привет',
]
const cities = ['Lisbon', 'São Paulo', 'Zürich', 'Kraków', 'Reykjavík', 'New York', 'Nairobi', '大阪']
const states = ['new', 'paid', 'packed', 'shipped', 'returned']

/** The text as it stands inside a JSON string. */
const escaped = (text: string): Piece => new Piece(JSON.stringify(text).slice(1, -1))
const wordPieces = words.map(escaped)
const nextWordPieces = words.map((word) => escaped(` ${word}`))
const oddPieces = odd.map((text) => escaped(`${text} `))
const cityPieces = cities.map(escaped)
const statePieces = states.map(escaped)
const tagPieces = words.map((word) => new Piece(JSON.stringify(word)))
const nextTagPieces = words.map((word) => new Piece(`,${JSON.stringify(word)}`))
const bytes = (text: string): Piece => new Piece(text)

const behind = ',"time_extracted":"2026-01-01T00:00:00.000000Z"}'
const lineEnd = bytes(`}${behind}\n`)
const firstInstant = Date.UTC(2024, 0, 1)

/** Which record the i-th is: a new one, or a later version of an earlier one. `draws` is seeded for it. */
interface Turn {
  readonly id: number
  readonly version: number
}

/** Mulberry32, seeded anew for each record. */
class Draws {
  #a = 0

  seed(seed: number, i: number): void {
    let h = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ (i | 0) ^ Math.imul((i / 0x100000000) | 0, 0xc2b2ae35)
    h = Math.imul(h ^ (h >>> 16), 0x21f0aaad)
    h = Math.imul(h ^ (h >>> 15), 0x735a2d97)
    this.#a = h ^ (h >>> 15)
  }

  /** A whole number from 0 to n - 1, where n is at most 2^31. */
  below(n: number): number {
    // A whole number that stays one: as an index it is worth half of all the time here.
    return ((this.#next() / 4294967296) * n) | 0
  }

  /** The same for any n. */
  belowAny(n: number): number {
    return Math.floor((this.#next() / 4294967296) * n)
  }

  /** 32 bits. */
  #next(): number {
    const a = (this.#a + 0x6d2b79f5) | 0
    this.#a = a
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (t ^ (t >>> 14)) >>> 0
  }
}

const turnOf = (i: number, updates: number, draws: Draws): Turn => {
  const updated = Math.floor(i * updates)
  const isUpdate = updated > Math.floor((i - 1) * updates)
  const known = i - updated
  return isUpdate && known > 0 ? { id: 1 + draws.belowAny(known), version: i } : { id: Math.max(1, known), version: 0 }
}

const lineStart = (stream: string): string => `{"type":"RECORD","stream":"${stream}","record":`
const narrowStart = bytes(`${lineStart('points')}{"id":`)
const nameKey = bytes(',"name":"')
const valueKey = bytes('","value":')

const narrow = (out: LineBuffer, draws: Draws, { id }: Turn): void => {
  out.put(narrowStart)
  out.whole(id)
  out.put(nameKey)
  out.put(wordPieces[draws.below(26)] as Piece)
  out.whole(id % 977)
  out.put(valueKey)
  out.decimal(draws.below(1e6), 2)
  out.put(lineEnd)
}

const wideStart = bytes(`${lineStart('orders')}{"id":`)
const codeKey = bytes(',"code":"ORD-')
const customerKey = bytes('","customer":"')
const emailKey = bytes('","email":')
const noteKey = bytes(',"note":')
const statusKey = bytes(',"status":"')
const amountKey = bytes('","amount":')
const quantityKey = bytes(',"quantity":')
const activeKey = bytes(',"active":')
const updatedKey = bytes(',"updated_at":"')
const addressKey = bytes('","address":{"city":"')
const zipKey = bytes('","zip":"')
const geoKey = bytes('","geo":')
const tagsKey = bytes('},"tags":[')
const closeList = bytes(']')
const none = bytes('null')
const yes = bytes('true')
const no = bytes('false')
const quote = bytes('"')
const minus = bytes('-')
const dot = bytes('.')
const mailEnd = bytes('@example.com"')

const putWords = (out: LineBuffer, draws: Draws, n: number): void => {
  if (n > 0) out.put(wordPieces[draws.below(26)] as Piece)
  for (let i = 1; i < n; i++) out.put(nextWordPieces[draws.below(26)] as Piece)
}

const wide = (out: LineBuffer, draws: Draws, { id, version }: Turn): void => {
  out.put(wideStart)
  out.whole(id)
  out.put(codeKey)
  out.padded(id, 9)
  out.put(customerKey)
  putWords(out, draws, 2)
  out.put(emailKey)
  if (draws.below(10) === 0) out.put(none)
  else {
    out.put(quote)
    out.put(wordPieces[draws.below(26)] as Piece)
    out.put(dot)
    out.whole(id)
    out.put(mailEnd)
  }
  out.put(noteKey)
  const kind = draws.below(50)
  if (kind < 15) out.put(none)
  else {
    out.put(quote)
    if (kind < 22) {
      out.put(oddPieces[draws.below(odd.length)] as Piece)
      putWords(out, draws, 2 + draws.below(6))
    } else putWords(out, draws, 1 + draws.below(14))
    out.put(quote)
  }
  out.put(statusKey)
  out.put(statePieces[version > 0 ? version % 5 : draws.below(5)] as Piece)
  out.put(amountKey)
  out.decimal(draws.below(1e7), 2)
  out.put(quantityKey)
  out.whole(1 + draws.below(40))
  out.put(activeKey)
  out.put(draws.below(2) === 0 ? yes : no)
  out.put(updatedKey)
  out.instant(firstInstant + id * 1000 + version * 60_000)
  out.put(addressKey)
  out.put(cityPieces[draws.below(cities.length)] as Piece)
  out.put(zipKey)
  out.whole(10_000 + draws.below(89_999))
  out.put(geoKey)
  const geo = draws.below(1.8e7) - 9e6
  if (geo < 0) out.put(minus)
  out.decimal(Math.abs(geo), 5)
  out.put(tagsKey)
  const tags = draws.below(4)
  if (tags > 0) out.put(tagPieces[draws.below(26)] as Piece)
  for (let i = 1; i < tags; i++) out.put(nextTagPieces[draws.below(26)] as Piece)
  out.put(closeList)
  out.put(lineEnd)
}

const schemas: { readonly [shape in 'narrow' | 'wide']: JsonObject } = {
  narrow: {
    type: 'object',
    properties: { id: { type: 'integer' }, name: { type: 'string' }, value: { type: 'number' } },
  },
  wide: {
    type: 'object',
    properties: {
      id: { type: 'integer' },
      code: { type: 'string' },
      customer: { type: 'string' },
      email: { type: ['null', 'string'] },
      note: { type: ['null', 'string'] },
      status: { type: 'string' },
      amount: { type: 'number' },
      quantity: { type: 'integer' },
      active: { type: 'boolean' },
      updated_at: { type: 'string', format: 'date-time' },
      address: {
        type: ['null', 'object'],
        properties: { city: { type: 'string' }, zip: { type: 'string' }, geo: { type: 'number' } },
      },
      tags: { type: ['null', 'array'], items: { type: 'string' } },
    },
  },
}

/** The substream `points` (narrow) or `orders` (wide). Its bookmark is the number of records written. */
export const loadSubstream = (shape: 'narrow' | 'wide', settings: LoadSettings): Substream => {
  const name = shape === 'narrow' ? 'points' : 'orders'
  return {
    name,
    keyProperties: ['id'],
    schema: schemas[shape],
    records: (ctx) => load(shape, name, settings, writtenBefore(ctx.bookmark)),
  }
}

/** How many records were written before. Throws STATE_UNREADABLE where the bookmark is not one of ours. */
export const writtenBefore = (bookmark: Json | undefined): number => {
  const count = bookmark ?? 0
  if (typeof count === 'number' && Number.isSafeInteger(count) && count >= 0) return count
  throw new MillraceError('STATE_UNREADABLE', {
    source: 'of the streamer hello',
    why: 'a bookmark is not a number of records',
  })
}

function* load(
  shape: 'narrow' | 'wide',
  name: string,
  settings: LoadSettings,
  position: number,
): Generator<Yielded, void, undefined> {
  const { count, updates, stateEvery, seed } = settings
  const put = shape === 'narrow' ? narrow : wide
  const around = { before: Buffer.byteLength(lineStart(name)), after: behind.length }
  const draws = new Draws()
  let out = new LineBuffer(blockBytes)
  let inBlock = 0
  for (let i = position + 1; i <= count; i++) {
    draws.seed(seed, i)
    put(out, draws, turnOf(i, updates, draws))
    inBlock++
    const isState = i % stateEvery === 0 || i === count
    if (!isState && out.free >= maxLineBytes) continue
    yield new EncodedRecords(out.take(), inBlock, around)
    out = new LineBuffer(blockBytes)
    inBlock = 0
    if (isState) yield bookmark(i)
  }
}
