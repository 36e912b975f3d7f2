/**
 * A Stitch Import API on the loopback: its four endpoints with their limits, their authorisation and their words, and faults on
 * demand. What it accepted can be looked at, as bodies and as the tables that they load.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { gunzipSync } from 'node:zlib'
import type { JsonObject } from '../../message/json.ts'
import {
  type ImportKind,
  importAccepted,
  importStatus,
  maxImportBytes,
  maxImportMessages,
  notAuthorized,
  readImport,
  refuseMediaType,
  refuseMethod,
  tooLarge,
} from '../../stitch/request.ts'
import type { StitchRules, Verdict } from '../../stitch/rules.ts'
import { type SeenRequest, sendJson, startHttpServer } from '../http-server.ts'
import { violationOf } from '../schema-check.ts'
import { StitchTables } from './tables.ts'

/** What happens to one request that would have been accepted. */
export type StitchFault =
  | { readonly is: 'status'; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** The body is taken, and the connection ends without an answer. */
  | { readonly is: 'cut' }
  /** The body is taken, and the answer is no JSON. */
  | { readonly is: 'not-json' }
  /** The body is taken; the answer is 202. */
  | { readonly is: 'queued' }

export interface StitchServerOptions {
  readonly token?: string
  readonly clientId?: number
  readonly maxBodyBytes?: number
  readonly maxMessages?: number
  /** Milliseconds that each answer takes. */
  readonly latencyMs?: number
  /** What happens to the n-th request that would be accepted, from 0; undefined: it is accepted. */
  readonly fault?: (n: number) => StitchFault | undefined
  /** See {@link StitchRules.violation}; by default the plain part of JSON Schema. */
  readonly violation?: StitchRules['violation']
}

export interface StitchServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`: what stands in place of https://api.stitchdata.com. */
  readonly url: string
  /** Bodies in the order in which they were taken, unpacked. */
  readonly bodies: readonly string[]
  readonly tables: StitchTables
  /** The tables of bodies that were sent under a path of its own: `URL/one/v2/import/batch` goes into those of `/one`. */
  tablesOf(prefix: string): StitchTables
  /** All requests, those too that were refused. */
  readonly requests: readonly SeenRequest[]
  /** From now on the token is no longer good. */
  revoke(): void
}

/** Starts one. Its token is `stitch-token` and its client 7723 unless said otherwise. */
export const startStitchServer = async (options: StitchServerOptions = {}): Promise<StitchServer> => {
  const {
    token = 'stitch-token',
    clientId = 7723,
    maxBodyBytes = maxImportBytes,
    maxMessages = maxImportMessages,
  } = options
  const rules: StitchRules = { clientId, maxMessages, violation: options.violation ?? plainViolation }
  const bodies: string[] = []
  const tables = new Map<string, StitchTables>()
  const tablesOf = (prefix: string): StitchTables => {
    const found = tables.get(prefix) ?? new StitchTables()
    tables.set(prefix, found)
    return found
  }
  let isRevoked = false
  let taken = 0

  /** What is said of a request, and the fault that meets it where it would be accepted. */
  const judge = (request: SeenRequest): { readonly verdict: Verdict; readonly fault?: StitchFault | undefined } => {
    const verdict = verdictOf(request)
    if ('refusal' in verdict || request.url.endsWith('/v2/import/validate')) return { verdict }
    const fault = options.fault?.(taken++)
    if (fault?.is === 'status')
      return { verdict: { refusal: { status: fault.status, body: 'Service Unavailable', headers: fault.headers } } }
    bodies.push(textOf(request))
    tablesOf(request.url.replace(/\/v2\/import\/.*$/, '')).load(verdict.messages)
    return { verdict, fault }
  }

  const verdictOf = (request: SeenRequest): Verdict => {
    const path = new URL(request.url, 'http://x').pathname
    const kind = /\/v2\/import\/(batch|push|validate)$/.exec(path)?.[1] as ImportKind | undefined
    if (kind === undefined) return { refusal: { status: 404, body: { error: 'Not Found' } } }
    const head = { kind, method: request.method, contentType: request.headers['content-type'] }
    const wrongMethod = refuseMethod(head)
    if (wrongMethod !== undefined) return { refusal: wrongMethod }
    if (request.headers.authorization !== `Bearer ${token}` || isRevoked) return { refusal: notAuthorized }
    const wrongType = refuseMediaType(head)
    if (wrongType !== undefined) return { refusal: wrongType }
    const text = textOf(request)
    const bytes = Buffer.byteLength(text)
    return bytes > maxBodyBytes ? { refusal: tooLarge(bytes) } : readImport(text, head, rules)
  }

  const server = await startHttpServer(async (request, response) => {
    if (options.latencyMs !== undefined) await new Promise((resolve) => setTimeout(resolve, options.latencyMs))
    const path = new URL(request.url, 'http://x').pathname
    if (path.endsWith('/v2/import/status') && request.method === 'GET') {
      sendJson(response, importStatus('1'))
      return
    }
    const { verdict, fault } = judge(request)
    if ('refusal' in verdict) {
      const { status, body, headers } = verdict.refusal
      if (typeof body === 'string') response.writeHead(status, { 'content-type': 'text/plain', ...headers }).end(body)
      else sendJson(response, body, { status })
      return
    }
    switch (fault?.is) {
      case 'cut':
        response.destroy()
        return
      case 'not-json':
        response.writeHead(200, { 'content-type': 'text/html' }).end('<html>welcome</html>')
        return
      case 'queued':
        sendJson(response, { status: 'Accepted', message: 'The batch is queued to be processed.' }, { status: 202 })
        return
      default:
        accept(response, path.endsWith('/validate') ? 'validate' : 'push')
    }
  })
  return {
    url: server.url,
    bodies,
    tables: tablesOf(''),
    tablesOf,
    requests: server.requests,
    revoke: () => {
      isRevoked = true
    },
    [Symbol.asyncDispose]: server.close,
  }
}

const textOf = ({ headers, body }: SeenRequest): string =>
  (headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString()

const accept = (response: ServerResponse<IncomingMessage>, kind: ImportKind): void => {
  const { status, body } = importAccepted(kind)
  sendJson(response, body, { status })
}

const plainViolation = (schema: JsonObject, record: JsonObject): string | undefined => {
  const found = violationOf(schema, record)
  return found === undefined ? undefined : `#/${found.replace(' is not ', ': expected: ')}`
}
