/** The HTTP server that all routes hang on: who asks, how much and how fast, errors as problem details, what is counted. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import swagger from '@fastify/swagger'
import { type Logger, MillraceError } from '@millrace/sdk'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifySchemaCompiler,
  type RawServerDefault,
} from 'fastify'
import type { Ajv, ValidateFunction } from 'ajv'
import { answerBadConnection, answerBadPath } from './before-routing.ts'
import { Buckets } from './buckets.ts'
import type { Limits } from './limits.ts'
import type { Metrics } from './metrics.ts'
import { additionsOf, problemOf, problemType, requestError } from './problem.ts'
import type { SchemaTypes } from './schema.ts'
import type { Bearer, Tokens } from './tokens.ts'

export interface HttpOptions {
  readonly tokens: Tokens
  readonly limits: Limits
  readonly metrics: Metrics
  readonly log: Logger
  /** Milliseconds that only rise. */
  readonly ticks: () => number
  readonly version: string
  readonly newId: () => string
  /** Certificate and key as PEM. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer } | undefined
}

export type Http = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, SchemaTypes>

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks. Only where the route is not open to everybody. */
    bearer: Bearer
    /** Who asks, for the one-liners that most routes are. */
    caller: Bearer['principal']
  }
  interface FastifyContextConfig {
    /** Whether anybody may ask, without a token. */
    readonly open?: boolean
    /** Whether the body is read as it comes, however long it takes, by the route itself. */
    readonly streams?: boolean
  }
}

/** The token that a request shows. */
export const tokenOf = (header: string | undefined): string | undefined => /^bearer +(\S+) *$/i.exec(header ?? '')?.[1]

/** Builds the server; the caller adds routes, then listens. */
export const createHttp = async (options: HttpOptions): Promise<Http> => {
  const { limits, log, metrics } = options
  // Names a request in answers and in the log; cheap, as every request has one.
  const run = options.newId().slice(0, 18)
  let requests = 0
  const app = Fastify({
    logger: false,
    bodyLimit: limits.bodyBytes,
    genReqId: () => `${run}-${(requests++).toString(36)}`,
    // A name may have 200 characters, of which each may be written with three.
    routerOptions: { maxParamLength: 1000, ignoreTrailingSlash: true },
    forceCloseConnections: 'idle',
    http: { maxHeaderSize: limits.headBytes, headersTimeout: limits.headMs, requestTimeout: 0 },
    ...(options.tls === undefined ? {} : { https: { ...options.tls, minVersion: 'TLSv1.2' as const } }),
    onProtoPoisoning: 'error',
    frameworkErrors: answerBadPath,
    clientErrorHandler: answerBadConnection(limits),
  }) as unknown as Http

  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Millrace',
        version: options.version,
        description: 'Durable, private, shared streams of records.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/' }],
      components: {
        securitySchemes: {
          token: {
            type: 'oauth2',
            flows: {
              clientCredentials: {
                tokenUrl: '/api/v1/oauth/token',
                scopes: {
                  'streams:manage': 'create, change, share and delete streams and clients',
                  'schemas:manage': 'change the schemas and public keys of streams',
                  'records:read': 'read records and mark them',
                  'records:write': 'publish records',
                  admin: 'administer the manager',
                },
              },
            },
          },
        },
      },
      security: [{ token: [] }],
    },
    hideUntagged: true,
  })

  app.setValidatorCompiler(lazyValidator)
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer))
  app.decorateRequest('bearer')
  app.decorateRequest('caller')
  guard(app, options)
  slowBodies(app, limits)

  app.setErrorHandler((e, request, reply) => {
    const error = requestError(e)
    const problem = problemOf(error, { instance: request.id, ...additionsOf(error) })
    if (problem.status >= 500)
      log.error('request failed', {
        request: request.id,
        method: request.method,
        route: request.routeOptions.url,
        code: error.code,
        why: error.message,
        trace: error.code === 'INTERNAL' && e instanceof Error ? e.stack : undefined,
      })
    if (problem.status === 401) void reply.header('www-authenticate', 'Bearer realm="millrace"')
    const seconds = error.details['seconds']
    if ((problem.status === 429 || problem.status === 503) && !reply.hasHeader('retry-after'))
      void reply.header('retry-after', String(problem.status === 429 ? (seconds ?? 1) : 1))
    closeUnread(request, reply)
    return reply.code(problem.status).type(problemType).send(JSON.stringify(problem))
  })
  app.setNotFoundHandler((request) => {
    throw new MillraceError('ROUTE_UNKNOWN', {
      method: request.method,
      path: request.url.split('?')[0]?.slice(0, 200),
    })
  })
  const counters = new Map<string, () => void>()
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none'
    const status = `${Math.floor(reply.statusCode / 100)}xx`
    // As many as there are routes: none of this comes from the request. Methods that are not known have no route.
    const method = route === 'none' ? 'any' : request.method
    const key = `${route} ${method} ${status}`
    let count = counters.get(key)
    if (count === undefined) {
      count = metrics.counter('millrace_requests_total', 'Requests that were answered.', { route, method, status })
      counters.set(key, count)
    }
    count()
  })
  app.addHook('onSend', async (_request, reply) => {
    void reply.header('x-content-type-options', 'nosniff')
    if (!reply.hasHeader('cache-control')) void reply.header('cache-control', 'no-store')
  })
  return app
}

const require = createRequire(import.meta.url)
const checkers = new Map<string, Ajv>()
/** Of queries and paths everything is text; a body says what is a number. */
const checkerFor = (part: string | undefined): Ajv => {
  const coerces = part !== 'body'
  const key = String(coerces)
  let checker = checkers.get(key)
  if (checker === undefined) {
    const { Ajv: Checker } = require('ajv') as typeof import('ajv')
    checker = new Checker({ coerceTypes: coerces, allErrors: false, strict: false, validateFormats: false })
    checkers.set(key, checker)
  }
  return checker
}

/** Schemas are compiled when they are first needed: most routes are not called right after a start. */
const lazyValidator: FastifySchemaCompiler<unknown> = ({ schema, httpPart }) => {
  let check: ValidateFunction | undefined
  const validate = (value: unknown): boolean => {
    check ??= checkerFor(httpPart).compile(schema as object)
    const isValid = check(value) as boolean
    ;(validate as { errors?: unknown }).errors = check.errors
    return isValid
  }
  return validate
}

/** Where a body was not read to its end, nothing more is taken on that connection. */
const closeUnread = (request: FastifyRequest, reply: FastifyReply): void => {
  if (!request.raw.complete) void reply.header('connection', 'close')
}

/** Asks for the token before a byte of the body is read, and counts what an actor asks. */
const guard = (app: Http, { tokens, limits, ticks }: HttpOptions): void => {
  const buckets = new Buckets({ perSecond: limits.requestsPerSecond, burst: limits.requestBurst, now: ticks })
  const limited = (key: string): void => {
    const waitMs = buckets.take(key)
    if (waitMs > 0)
      throw new MillraceError('REQUEST_LIMITED', {
        why: `an actor may begin ${limits.requestsPerSecond} in a second`,
        seconds: Math.max(1, Math.ceil(waitMs / 1000)),
      })
  }
  app.addHook('onRequest', async (request) => {
    if (request.is404) return
    if (request.routeOptions.config.open === true) return limited(`address ${request.ip}`)
    const token = tokenOf(request.headers.authorization)
    if (token === undefined) throw new MillraceError('TOKEN_INVALID', { why: 'the request has no token' })
    const bearer = await tokens.verify(token)
    request.bearer = bearer
    request.caller = bearer.principal
    limited(`${bearer.principal.type} ${bearer.principal.id}`)
  })
}

/** A body that is taken as a whole has to be there in time. */
const slowBodies = (app: Http, limits: Limits): void => {
  app.addHook('preParsing', async (request, reply, payload) => {
    const { headers } = request
    const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
    if (!hasBody || request.routeOptions.config.streams === true) return payload
    const timer = setTimeout(() => {
      // Whoever reads it is told; where nobody does, nobody waits for it.
      if (payload.listenerCount('error') === 0) return
      ;(payload as IncomingMessage).emit(
        'error',
        new MillraceError('REQUEST_TOO_SLOW', { seconds: limits.bodyMs / 1000 }),
      )
    }, limits.bodyMs)
    const clear = (): void => clearTimeout(timer)
    payload.once('end', clear)
    payload.once('close', clear)
    reply.raw.once('close', clear)
    return payload
  })
}
