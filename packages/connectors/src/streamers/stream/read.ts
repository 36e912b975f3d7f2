/** Reading a stream of a manager to its end, or for as long as somebody wants. */
import { setTimeout as pause } from 'node:timers/promises'
import {
  isObject,
  type Json,
  type JsonObject,
  MillraceError,
  type ProgramContext,
  type StreamerContext,
} from '@millrace/sdk'
import { type HttpClient, statusOf } from '@millrace/sdk/http'
import {
  findStream,
  managerClient,
  messagesType,
  type StreamFacts,
  streamPath,
  unknownStream,
} from '../../manager/client.ts'
import { passMessages, wrapBodies } from '../../manager/message-lines.ts'
import type { StreamSettings } from './index.ts'

/** Bytes of one request. */
const pageBytes = 8 * 1024 * 1024

interface Context extends StreamerContext {
  readonly config: StreamSettings
}

interface Opened {
  readonly client: HttpClient
  readonly stream: StreamFacts
  readonly isMessages: boolean
}

const open = async (ctx: Context): Promise<Opened> => {
  const { config, signal, log } = ctx
  const client = managerClient(config, { side: 'source', scope: 'records:read', signal, log })
  const stream = await findStream(client, config.stream)
  if (stream === undefined) {
    client.close()
    throw unknownStream(config.stream)
  }
  const isMessages = config.form === 'messages' || (config.form === 'auto' && stream.contentType === messagesType)
  return { client, stream, isMessages }
}

/** Proves that the stream is there and may be read. */
export const checkStream = async (ctx: Context): Promise<void> => {
  const { client, stream } = await open(ctx)
  try {
    await page(client, stream, { from: 'next', limit: 1 })
  } finally {
    client.close()
  }
}

/** What a catalog can say without reading the stream. */
export const discoverStream = async (ctx: Context): Promise<JsonObject> => {
  const { client, stream, isMessages } = await open(ctx)
  client.close()
  const name = ctx.config.substream ?? stream.name
  // Messages bring their own schemas, of whatever substreams there are.
  const metadata = [
    { breadcrumb: [], metadata: { 'selected-by-default': true, ...(isMessages ? { messages: true } : {}) } },
  ]
  return { streams: [{ tap_stream_id: name, stream: name, schema: { type: 'object' }, key_properties: [], metadata }] }
}

interface Place {
  offset: number
  readonly schemas: Map<string, number>
}

/** Throws STATE_UNREADABLE for a state of another stream: its offsets mean nothing here. */
const placeOf = (state: Json | undefined, stream: StreamFacts): Place | undefined => {
  if (state === undefined || (isObject(state) && Object.keys(state).length === 0)) return undefined
  const offset = isObject(state) ? Number(state['offset']) : Number.NaN
  if (!isObject(state) || typeof state['stream'] !== 'string' || !Number.isSafeInteger(offset) || offset < 0)
    throw new MillraceError('STATE_UNREADABLE', { what: 'the state', why: 'it is no state of streamer stream' })
  if (state['stream'] !== stream.id)
    throw new MillraceError('STATE_UNREADABLE', {
      what: 'the state',
      why: `it was left by another stream (${state['stream']}); ${stream.name} is ${stream.id} now, and was perhaps made anew`,
    })
  const schemas = isObject(state['schemas']) ? Object.entries(state['schemas']) : []
  return { offset, schemas: new Map(schemas.map(([name, at]) => [name, Number(at)])) }
}

interface PageRead {
  readonly bytes: Buffer
  readonly next: number
  readonly isAtEnd: boolean
}

const page = async (
  client: HttpClient,
  stream: StreamFacts,
  query: { readonly from: string; readonly limit: number },
): Promise<PageRead> => {
  const answer = await client.get(`${streamPath(stream.id)}/records`, {
    query: { ...query, maxBytes: pageBytes },
    headers: { accept: 'application/x-ndjson' },
  })
  const next = Number(answer.headers['millrace-next'])
  if (!Number.isSafeInteger(next))
    throw new MillraceError('SOURCE_MALFORMED', {
      what: answer.asked,
      why: `${answer.asked}: it does not say where to go on`,
    })
  return { bytes: answer.bytes, next, isAtEnd: answer.headers['millrace-at-end'] === 'true' }
}

/** Where the stream begins and ends now. */
const boundsOf = async (
  client: HttpClient,
  stream: StreamFacts,
): Promise<{ readonly first: number; readonly next: number }> => {
  const answer = await client.get(`${streamPath(stream.id)}/stat`)
  const json = answer.json()
  const [first, next] = isObject(json) ? [Number(json['first']), Number(json['next'])] : [Number.NaN, Number.NaN]
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(next))
    throw new MillraceError('SOURCE_MALFORMED', {
      what: answer.asked,
      why: `${answer.asked}: it does not say where the stream ends`,
    })
  return { first, next }
}

/** Writes the stream's messages, and a state behind each page. */
export const readStream = async (ctx: Context & ProgramContext): Promise<void> => {
  const opened = await open(ctx)
  try {
    await new Reading(ctx, opened).run()
  } catch (e) {
    // Stopped while asking: what was written is covered by the state behind it.
    if (!ctx.signal.aborted) throw e
  } finally {
    opened.client.close()
  }
}

class Reading {
  readonly #ctx: Context & ProgramContext
  readonly #opened: Opened
  readonly #place: Place
  readonly #hasState: boolean
  #strangers = 0

  constructor(ctx: Context & ProgramContext, opened: Opened) {
    this.#ctx = ctx
    this.#opened = opened
    const place = placeOf(ctx.state, opened.stream)
    this.#hasState = place !== undefined
    this.#place = place ?? { offset: 0, schemas: new Map() }
  }

  async run(): Promise<void> {
    const { client, stream } = this.#opened
    const { config, signal } = this.#ctx
    const bounds = await boundsOf(client, stream)
    await this.#begin(bounds)
    let asked = this.#ask()
    for (;;) {
      const { bytes, next, isAtEnd } = await asked
      const at = this.#place.offset
      this.#place.offset = next
      const goesOn = !signal.aborted && (config.follow || next < bounds.next)
      // The next page is on its way while this one is written; where nothing more is there, later.
      const ahead = goesOn && !(isAtEnd && config.follow) ? this.#ask() : undefined
      ahead?.catch(() => {}) // it is met below
      if (bytes.length > 0) await this.#write(bytes, at)
      if (!goesOn) return
      if (ahead !== undefined) asked = ahead
      else {
        if (isAtEnd) await pause(config.pollMs, undefined, { signal })
        asked = this.#ask()
      }
    }
  }

  async #ask(): Promise<PageRead> {
    const { client, stream } = this.#opened
    const asked = this.#place.offset
    try {
      return await page(client, stream, { from: `offset:${asked}`, limit: this.#ctx.config.pageRecords })
    } catch (e) {
      if (statusOf(e) !== 410) throw e
      // Retention went past the reader while it read.
      const { first } = await boundsOf(client, stream)
      throw new MillraceError('LOG_OFFSET_TRIMMED', { stream: stream.name, asked, first }, { cause: e })
    }
  }

  /** Finds where to begin, and writes the schemas that are in force there. */
  async #begin(bounds: { readonly first: number; readonly next: number }): Promise<void> {
    const { client, stream } = this.#opened
    const { config, log } = this.#ctx
    if (!this.#hasState) {
      this.#place.offset = config.start === 'first' ? bounds.first : await startOf(client, stream, config.start)
      return
    }
    const asked = this.#place.offset
    if (asked < bounds.first)
      throw new MillraceError('LOG_OFFSET_TRIMMED', { stream: stream.name, asked, first: bounds.first })
    if (asked > bounds.next)
      throw new MillraceError('LOG_OFFSET_AHEAD', { stream: stream.name, asked, next: bounds.next })
    for (const [substream, at] of this.#place.schemas) {
      if (at < bounds.first) {
        log.warn('the schema of a substream is not kept any more: its records go without one until the next', {
          substream,
        })
        continue
      }
      const { bytes } = await page(client, stream, { from: `offset:${at}`, limit: 1 })
      const { parts } = passMessages(bytes)
      for (const part of parts) await this.#ctx.write(part)
    }
  }

  async #write(bytes: Buffer, at: number): Promise<void> {
    const { stream, isMessages } = this.#opened
    if (isMessages) {
      const { parts, schemas, strangers } = passMessages(bytes)
      for (const part of parts) await this.#ctx.write(part)
      for (const [substream, place] of schemas) this.#place.schemas.set(substream, at + place)
      if (strangers.length > 0) this.#tellOfStrangers(at + (strangers[0] as number), strangers.length)
    } else await this.#ctx.write(wrapBodies(bytes, this.#ctx.config.substream ?? stream.name))
    const { offset, schemas } = this.#place
    const value = { stream: stream.id, offset, ...(isMessages ? { schemas: Object.fromEntries(schemas) } : {}) }
    await this.#ctx.write(Buffer.from(`${JSON.stringify({ type: 'STATE', value })}\n`))
  }

  #tellOfStrangers(offset: number, count: number): void {
    if (this.#strangers === 0)
      this.#ctx.log.warn('records that are no messages were passed over; `form: records` reads them', {
        stream: this.#opened.stream.name,
        offset,
      })
    this.#strangers += count
  }
}

/** The offset that a position means now. */
const startOf = async (client: HttpClient, stream: StreamFacts, position: string): Promise<number> => {
  try {
    // Of a page of one record: what it says of the next, less the record.
    const { bytes, next } = await page(client, stream, { from: position, limit: 1 })
    return bytes.length === 0 ? next : next - 1
  } catch (e) {
    if (statusOf(e) !== 400 && statusOf(e) !== 422) throw e
    throw new MillraceError('CONFIG_INVALID', {
      what: 'streamer stream',
      problems: [`start: "${position}" is no position`],
      fix: 'Say first, next, last:N, offset:N, or a time such as 2026-11-01T00:00Z.',
    })
  }
}
