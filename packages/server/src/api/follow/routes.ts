/** Following a stream: server-sent events, and a WebSocket on the same path. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Position, offset } from '@millrace/engine'
import { MillraceError } from '@millrace/sdk'
import type { WebSocket, WebSocketServer } from 'ws'
import type { Principal } from '../../domain/access.ts'
import { maxPositionText, parsePosition, positionDoc } from '../../http/position.ts'
import { type Problem, problemOf, requestError } from '../../http/problem.ts'
import { object, oneOf, type Schema, text } from '../../http/schema.ts'
import { tokenOf } from '../../http/server.ts'
import type { Bearer } from '../../http/tokens.ts'
import type { ReadPage, StreamInfo } from '../../streams/types.ts'
import { type AddRoutes, type Api, answers, base, doc, streamParams, written } from '../api.ts'
import { eventsForm, messagesForm } from '../records/shapes.ts'
import { type Form, followPage, type Outlet, sendFollowed } from './follower.ts'

/** Where a follower begins: behind the event it saw last, else where it says, else with what comes. */
const beginning = (from: string | undefined, lastEventId: string | undefined): Position => {
  if (lastEventId === undefined || lastEventId === '') return parsePosition(from ?? 'next')
  if (!/^\d{1,18}$/.test(lastEventId))
    throw new MillraceError('REQUEST_INVALID', { what: 'Last-Event-ID', problems: ['it is no offset'] })
  return { from: 'offset', offset: offset(BigInt(lastEventId) + 1n) }
}

/** Counts who follows, and has an actor keep to its share. */
class Share {
  readonly #counts = new Map<string, number>()
  readonly #max: number
  total = 0
  constructor(max: number) {
    this.#max = max
  }

  /** Answers how to give the place back. Throws REQUEST_LIMITED. */
  take({ type, id }: Principal): () => void {
    const key = `${type} ${id}`
    const count = this.#counts.get(key) ?? 0
    if (count >= this.#max)
      throw new MillraceError('REQUEST_LIMITED', { why: `an actor may have ${this.#max} followers`, seconds: 10 })
    this.#counts.set(key, count + 1)
    this.total++
    let isBack = false
    return () => {
      if (isBack) return
      isBack = true
      this.total--
      const left = (this.#counts.get(key) ?? 1) - 1
      if (left === 0) this.#counts.delete(key)
      else this.#counts.set(key, left)
    }
  }
}

interface Session {
  readonly token: string
  bearer: Bearer
  readonly stream: StreamInfo
  readonly page: ReadPage
}

const open = async (
  api: Api,
  token: string,
  asked: { readonly stream: string; readonly from: Position },
): Promise<Session> => {
  const bearer = await api.tokens.verify(token)
  const stream = await api.service.streams.get(bearer.principal, asked.stream)
  const page = await api.service.records.read(
    bearer.principal,
    stream.id,
    followPage(asked.from, api.limits.followerBytes),
  )
  return { token, bearer, stream, page }
}

/**
 * Sends until the connection is gone; a sign of life now and then, at which token and right are looked at again. Throws what ends
 * the right to read, and what reading throws.
 */
const follow = async (
  api: Api,
  session: Session,
  how: { readonly outlet: Outlet; readonly form: Form; readonly beat: () => void },
): Promise<void> => {
  const { service, tokens, tails, limits } = api
  const { stream, page } = session
  const lost = Promise.withResolvers<never>()
  lost.promise.catch(() => {})
  const look = async (): Promise<void> => {
    try {
      session.bearer = await tokens.verify(session.token)
      await service.records.read(session.bearer.principal, stream.id, { from: { from: 'next' }, limit: 1 })
    } catch (e) {
      lost.reject(e)
    }
  }
  const leave = api.followers.join({ actor: session.bearer.principal, look })
  const stop = (): void => lost.reject(new MillraceError('INTERRUPTED', { signal: 'the end of the manager' }))
  api.closing.addEventListener('abort', stop, { once: true })
  const timer = setInterval(() => {
    if (how.outlet.waiting() === 0) how.beat()
    void look()
  }, limits.heartbeatMs)
  try {
    // What was taken away since the first look: from here on whoever takes it says so.
    await look()
    await Promise.race([
      sendFollowed(page, {
        service,
        tails,
        streamId: stream.id,
        principal: () => session.bearer.principal,
        outlet: how.outlet,
        form: how.form,
        maxWaiting: limits.followerBytes,
      }),
      lost.promise,
    ])
  } finally {
    leave()
    clearInterval(timer)
    api.closing.removeEventListener('abort', stop)
  }
}

const eventOutlet = (raw: ServerResponse): Outlet & { readonly end: AbortController } => {
  const end = new AbortController()
  raw.once('close', () => end.abort())
  raw.once('error', () => end.abort())
  return {
    end,
    signal: end.signal,
    waiting: () => raw.writableLength,
    write: (bytes) => void raw.write(bytes),
    drained: async () => {
      if (raw.writableLength === 0 || end.signal.aborted) return
      await new Promise<void>((resolve) => {
        const done = (): void => {
          raw.off('drain', done)
          end.signal.removeEventListener('abort', done)
          resolve()
        }
        raw.once('drain', done)
        end.signal.addEventListener('abort', done, { once: true })
      })
    },
  }
}

const headers: Schema<{ readonly 'last-event-id'?: string | undefined }> = {
  type: 'object',
  properties: { 'last-event-id': text({ maxLength: 20, description: 'the offset of the last record that came' }) },
}
const events: { readonly 200: Schema<unknown> } = {
  200: { description: 'Events.', content: { 'text/event-stream': { schema: text() } } },
}

export const addFollowing: AddRoutes = (app, api) => {
  const { service, metrics, limits } = api
  const share = new Share(limits.followersPerActor)
  metrics.gauge('millrace_followers', 'Followers of streams that are connected.', () => share.total)
  app.get(
    `${base}/streams/:stream/follow`,
    {
      schema: {
        ...doc(
          'follow',
          'records',
          'Records from a position on, and those that come: server-sent events, or a WebSocket.',
        ),
        description:
          'The id of an event is the offset of its record; a reader that comes back with Last-Event-ID goes on behind it. `form=record`: the data is the record as JSON. `form=body`: it is the body; one that an event cannot carry comes as Base64, with `event: base64`. An `event: problem` says why it ends. As a WebSocket each message is {"records":[…],"next":N}.',
        params: streamParams,
        headers,
        querystring: object(
          {},
          {
            from: text({
              minLength: 1,
              maxLength: maxPositionText,
              description: `${positionDoc}; \`next\` where it is left out`,
            }),
            form: oneOf(['record', 'body'], {
              description: 'what the data of an event is; `record` where it is left out',
            }),
          },
        ),
        response: { ...answers(200, written(text())), ...events },
      },
    },
    async (request, reply) => {
      const token = tokenOf(request.headers.authorization) as string
      const giveBack = share.take(request.caller)
      try {
        const { from, form = 'record' } = request.query
        const session = await open(api, token, {
          stream: request.params.stream,
          from: beginning(from, request.headers['last-event-id']),
        })
        reply.hijack()
        const raw = reply.raw
        // Ends with the connection: no framing of chunks for each of a thousand followers.
        raw.removeHeader('transfer-encoding')
        raw.writeHead(200, {
          'content-type': 'text/event-stream; charset=utf-8',
          'cache-control': 'no-store, no-transform',
          'x-accel-buffering': 'no',
          'x-content-type-options': 'nosniff',
        })
        raw.write(': millrace\n\n')
        const outlet = eventOutlet(raw)
        try {
          await follow(api, session, {
            outlet,
            form: eventsForm(session.stream, service, form),
            beat: () => void raw.write(': \n\n'),
          })
        } catch (e) {
          if (!outlet.signal.aborted) raw.write(`event: problem\ndata: ${JSON.stringify(told(api, e))}\n\n`)
        }
        outlet.end.abort()
        raw.end()
        return reply
      } finally {
        giveBack()
      }
    },
  )
  let server: WebSocketServer | undefined
  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    void upgrade(api, share, { request, socket }).then(
      async (session) => {
        if (session === undefined) return
        const { WebSocketServer: Server } = await import('ws')
        server ??= new Server({ noServer: true, perMessageDeflate: false, maxPayload: 4096 })
        server.handleUpgrade(request, socket, head, (ws) => void converse(api, session, ws))
      },
      (e: unknown) => refuse(socket, told(api, e)),
    )
  })
  app.addHook('preClose', async () => {
    for (const ws of server?.clients ?? []) ws.close(1001, 'the manager stops')
  })
}

const told = (api: Api, e: unknown): Problem => {
  const error = requestError(e)
  const problem = problemOf(error)
  if (problem.status >= 500 && error.code !== 'INTERRUPTED')
    api.log.error('following failed', { code: error.code, why: error.message })
  return problem
}

const refuse = (socket: Duplex, problem: Problem): void => {
  const body = JSON.stringify(problem)
  socket.on('error', () => {})
  socket.end(
    `HTTP/1.1 ${problem.status} ${problem.title}\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}

type Upgraded = Session & { readonly giveBack: () => void }

/** A token in a header, or, since browsers cannot send one, as the subprotocol `millrace.bearer.TOKEN`. */
const upgradeToken = (request: IncomingMessage): string | undefined =>
  tokenOf(request.headers.authorization) ??
  /(?:^|,)\s*millrace\.bearer\.([^\s,]+)/.exec(request.headers['sec-websocket-protocol'] ?? '')?.[1]

const upgrade = async (
  api: Api,
  share: Share,
  { request, socket }: { readonly request: IncomingMessage; readonly socket: Duplex },
): Promise<Upgraded | undefined> => {
  socket.on('error', () => {})
  const url = new URL(request.url ?? '/', 'http://localhost')
  const name = /^\/api\/v1\/streams\/([^/]+)\/follow\/?$/.exec(url.pathname)?.[1]
  const token = upgradeToken(request)
  if (name === undefined || request.headers.upgrade?.toLowerCase() !== 'websocket')
    throw new MillraceError('ROUTE_UNKNOWN', { method: 'a WebSocket at', path: url.pathname.slice(0, 200) })
  if (token === undefined) throw new MillraceError('TOKEN_INVALID', { why: 'the request has no token' })
  let stream: string
  try {
    stream = decodeURIComponent(name)
  } catch {
    throw new MillraceError('REQUEST_INVALID', { problems: ['the path cannot be read'] })
  }
  const bearer = await api.tokens.verify(token)
  const giveBack = share.take(bearer.principal)
  try {
    const session = await open(api, token, {
      stream,
      from: beginning(url.searchParams.get('from') ?? undefined, undefined),
    })
    return { ...session, giveBack }
  } catch (e) {
    giveBack()
    throw e
  }
}

const converse = async (api: Api, session: Upgraded, ws: WebSocket): Promise<void> => {
  const end = new AbortController()
  let isAlive = true
  let last: Promise<void> = Promise.resolve()
  ws.on('close', () => end.abort())
  ws.on('error', () => end.abort())
  ws.on('pong', () => {
    isAlive = true
  })
  const outlet: Outlet = {
    signal: end.signal,
    waiting: () => ws.bufferedAmount,
    write: (bytes) => {
      last = new Promise((resolve) => ws.send(bytes, { binary: false }, () => resolve()))
    },
    drained: async () =>
      await Promise.race([
        last,
        new Promise<void>((resolve) => end.signal.addEventListener('abort', () => resolve(), { once: true })),
      ]),
  }
  try {
    await follow(api, session, {
      outlet,
      form: messagesForm(session.stream, api.service),
      beat: () => {
        if (!isAlive) return ws.terminate()
        isAlive = false
        ws.ping()
      },
    })
    ws.close()
  } catch (e) {
    const problem = told(api, e)
    if (!end.signal.aborted) ws.send(JSON.stringify({ problem }))
    ws.close(problem.status >= 500 ? 1011 : 1008, problem.code)
  } finally {
    end.abort()
    session.giveBack()
  }
}
