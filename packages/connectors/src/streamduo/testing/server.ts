/**
 * A StreamDuo on the loopback, as far as a tap and a target need it: tokens, records written, read and marked. Each token may be given a
 * read status of its own, so that runs do not see what others marked.
 */
import { encodeJson, isObject, type Json, type JsonObject, parseExact } from '@millrace/sdk'
import { type SeenRequest, startHttpServer } from '@millrace/sdk/testing'

interface Kept {
  readonly recordId: string
  readonly recordTimeStampISO: string
  readonly dataPayload: Json
  /** Whatever the writer called its request. */
  readonly key: string | undefined
}

export interface StreamDuoServer extends AsyncDisposable {
  /** The base URL. */
  readonly url: string
  readonly requests: readonly SeenRequest[]
  /** The records of a stream, oldest first. */
  records(stream: string): readonly Kept[]
  /** Adds records of these payloads. */
  add(stream: string, payloads: readonly Json[]): void
  /** The payloads of a stream that nobody has read. */
  unread(stream: string): readonly Json[]
  /** Marks a record of a stream as read or unread by others, by its place. */
  mark(stream: string, place: number, isRead: boolean): void
}

export interface StreamDuoServerOptions {
  /** Each token has a read status of its own. */
  readonly statusByToken?: boolean
  /** What happens to the n-th request below a stream, from 0; undefined: it is answered. `cut`: it is done, and the answer lost. */
  readonly fault?: (n: number, request: SeenRequest) => number | 'cut' | undefined
}

const secret = 'streamduo-secret'

export const startStreamDuoServer = async (options: StreamDuoServerOptions = {}): Promise<StreamDuoServer> => {
  const streams = new Map<string, Kept[]>()
  const marks = new Map<string, Set<Kept>>()
  let tokens = 0
  let asked = 0
  const recordsOf = (stream: string): Kept[] => {
    const found = streams.get(stream) ?? []
    streams.set(stream, found)
    return found
  }
  const readBy = (token: string): Set<Kept> => {
    const whose = options.statusByToken === true ? token : 'all'
    const found = marks.get(whose) ?? new Set<Kept>()
    marks.set(whose, found)
    return found
  }
  const add = (stream: string, dataPayload: Json, key?: string): Kept => {
    const records = recordsOf(stream)
    const known = key === undefined ? undefined : records.find((r) => r.key === key)
    if (known !== undefined) return known
    const place = String(records.length).padStart(6, '0')
    const kept = {
      recordId: `id-${records.length}`,
      recordTimeStampISO: `2026-11-28T15:16:23.716${place}Z[UTC]`,
      dataPayload,
      key,
    }
    records.push(kept)
    return kept
  }
  const show = (stream: string, r: Kept, isRead: boolean, bare: boolean): JsonObject => ({
    recordId: r.recordId,
    streamId: stream,
    recordTimeStampISO: r.recordTimeStampISO,
    readStatus: String(isRead),
    dataPayload: bare ? null : r.dataPayload,
  })

  const read = (stream: string, body: JsonObject, token: string, bare: boolean): readonly JsonObject[] => {
    const read = readBy(token)
    const since = body['recordTimeStampISO']
    const found = recordsOf(stream)
      .filter((r) =>
        body['readRecordRequestType'] === 'UNREAD'
          ? !read.has(r)
          : body['readRecordRequestType'] !== 'READ_SINCE_TIMESTAMP' || r.recordTimeStampISO > String(since),
      )
      .slice(0, Number(body['recordCount']))
    const shown = found.map((r) => show(stream, r, read.has(r), bare))
    if (body['markAsRead'] === true) for (const r of found) read.add(r)
    return shown
  }

  const server = await startHttpServer((request, response) => {
    const answer = (status: number, body: Json): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(encodeJson(body))
    }
    const text = request.body.toString()
    if (request.url === '/duo/oauth2/token') {
      const form = new URLSearchParams(text)
      if (form.get('client_secret') !== secret || form.get('scope') !== 'https://api.streamduo.com/read:records')
        return answer(400, { error: 'invalid_client' })
      return answer(200, { access_token: `token-${tokens++}`, token_type: 'Bearer', expires_in: 3600 })
    }
    const token = /^Bearer (token-\d+)$/.exec(request.headers.authorization ?? '')?.[1]
    const [, stream = '', what] = /^\/duo\/stream\/([^/]+)\/(record|record-request)$/.exec(request.url) ?? []
    if (token === undefined) return answer(401, {})
    const body = what === undefined ? undefined : parseExact(text)
    if (body === undefined || !isObject(body)) return answer(404, {})
    const fault = options.fault?.(asked++, request)
    if (typeof fault === 'number') return answer(fault, { error: 'fault' })
    const key = request.headers['idempotency-key']
    const done =
      what === 'record'
        ? show(stream, add(stream, body['dataPayload'] ?? null, String(key)), false, false)
        : read(stream, body, token, request.headers['prefer'] === 'return=minimal')
    if (fault === 'cut') response.destroy()
    else answer(200, done)
  })
  return {
    url: `${server.url}/duo`,
    requests: server.requests,
    records: recordsOf,
    add: (stream, payloads) => {
      for (const payload of payloads) add(stream, payload)
    },
    unread: (stream) =>
      recordsOf(stream)
        .filter((r) => !readBy('all').has(r))
        .map((r) => r.dataPayload),
    mark: (stream, place, isRead) => {
      const record = recordsOf(stream)[place] as Kept
      if (isRead) readBy('all').add(record)
      else readBy('all').delete(record)
    },
    [Symbol.asyncDispose]: server.close,
  }
}

/** Settings for a stream of it. */
export const settingsFor = (server: StreamDuoServer, streamId: string): JsonObject => ({
  streamId,
  clientId: 'client',
  clientSecret: secret,
  url: server.url,
})
