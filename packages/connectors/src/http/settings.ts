/** What the `http` streamer and the `http` persister have in common: how they are let in, and how patient they are. */
import {
  bytes,
  type ConfigOf,
  choice,
  type Field,
  type JsonObject,
  json,
  type Logger,
  MillraceError,
  text,
  whole,
} from '@millrace/sdk'
import { fileTokenStore, type HttpAuth, type HttpClient, httpClient } from '@millrace/sdk/http'

const authStyles = ['none', 'bearer', 'header', 'query', 'basic', 'client-credentials', 'refresh-token'] as const
type AuthStyle = (typeof authStyles)[number]

export const authSettings: {
  readonly auth: Field<AuthStyle>
  readonly token: Field<string | undefined>
  readonly authName: Field<string | undefined>
  readonly user: Field<string | undefined>
  readonly password: Field<string | undefined>
  readonly tokenUrl: Field<string | undefined>
  readonly clientId: Field<string | undefined>
  readonly clientSecret: Field<string | undefined>
  readonly refreshToken: Field<string | undefined>
  readonly scope: Field<string | undefined>
  readonly tokenFile: Field<string | undefined>
} = {
  auth: choice(authStyles, {
    doc: 'How requests say who asks; each style has its own settings below',
    default: 'none',
  }),
  token: text({ doc: 'The token or key of bearer, header and query', optional: true, secret: true }),
  authName: text({ doc: 'The name of the header or query parameter that carries the token', optional: true }),
  user: text({ doc: 'User of basic', optional: true }),
  password: text({ doc: 'Password of basic', optional: true, secret: true }),
  tokenUrl: text({ doc: 'OAuth 2: where tokens are given', optional: true }),
  clientId: text({ doc: 'OAuth 2: the id of the client', optional: true }),
  clientSecret: text({ doc: 'OAuth 2: its secret', optional: true, secret: true }),
  refreshToken: text({ doc: 'OAuth 2: the refresh token', optional: true, secret: true }),
  scope: text({ doc: 'OAuth 2: the scope asked for', optional: true }),
  tokenFile: text({
    doc: 'OAuth 2: a file that keeps the refresh token where the server gives a new one with each use',
    optional: true,
  }),
}

export const patienceSettings: {
  readonly headers: Field<JsonObject>
  readonly timeoutSeconds: Field<number>
  readonly tries: Field<number>
  readonly retryMs: Field<number>
  readonly maxWaitSeconds: Field<number>
  readonly maxConcurrent: Field<number>
  readonly maxResponseBytes: Field<number>
} = {
  headers: json({ doc: 'More headers of every request, name to value', default: {}, secret: true }),
  timeoutSeconds: whole({ doc: 'How long the server may be silent', default: 60, min: 1 }),
  tries: whole({ doc: 'Tries of a request that fails for a reason that may pass', default: 6, min: 1, max: 100 }),
  retryMs: whole({ doc: 'The first wait before another try; each is double the last, to 30 s', default: 500, min: 1 }),
  maxWaitSeconds: whole({
    doc: 'How long one request may wait because of a limit of requests',
    default: 900,
    min: 0,
  }),
  maxConcurrent: whole({ doc: 'Requests at once', default: 4, min: 1, max: 100 }),
  maxResponseBytes: bytes({ doc: 'The largest answer, unpacked', default: 64 * 1024 * 1024, min: 1 }),
}

export type AuthSettings = ConfigOf<typeof authSettings>
type Settings = AuthSettings & ConfigOf<typeof patienceSettings>

interface Around {
  readonly baseUrl: string
  readonly side: 'source' | 'destination'
  readonly signal: AbortSignal
  readonly log: Logger
}

/** Throws CONFIG_INVALID where settings of the style of auth are missing, all at once. */
export const clientFor = (config: Settings, around: Around): HttpClient =>
  httpClient({
    ...around,
    auth: authOf(config, around.side),
    headers: textsOf(config.headers, 'headers'),
    retry: { attempts: config.tries, baseMs: config.retryMs, maxWaitMs: config.maxWaitSeconds * 1000 },
    timeouts: { headersMs: config.timeoutSeconds * 1000, idleMs: config.timeoutSeconds * 1000 },
    maxConcurrent: config.maxConcurrent,
    maxResponseBytes: config.maxResponseBytes,
  })

/** Query parameters that are secrets of the auth. */
export const secretParameters = (config: AuthSettings): readonly string[] =>
  config.auth === 'query' && config.authName !== undefined ? [config.authName] : []

const needs = {
  none: [],
  bearer: ['token'],
  header: ['authName', 'token'],
  query: ['authName', 'token'],
  basic: ['user', 'password'],
  'client-credentials': ['tokenUrl', 'clientId', 'clientSecret'],
  'refresh-token': ['tokenUrl', 'clientId', 'refreshToken'],
} as const satisfies Record<AuthSettings['auth'], readonly (keyof AuthSettings)[]>

const authOf = (config: AuthSettings, side: Around['side']): HttpAuth => {
  const missing = needs[config.auth].filter((key) => config[key] === undefined)
  if (missing.length > 0)
    throw new MillraceError('CONFIG_INVALID', {
      what: `${side === 'source' ? 'streamer' : 'persister'} http`,
      problems: missing.map((key) => `${key} is missing (auth: ${config.auth} needs it)`),
    })
  const { token = '', authName = '', user = '', password = '', tokenUrl = '', clientId = '' } = config
  switch (config.auth) {
    case 'none':
      return { style: 'none' }
    case 'bearer':
      return { style: 'bearer', token }
    case 'header':
    case 'query':
      return { style: config.auth, name: authName, value: token }
    case 'basic':
      return { style: 'basic', user, password }
    case 'client-credentials':
      return { style: config.auth, tokenUrl, clientId, clientSecret: config.clientSecret ?? '', scope: config.scope }
    case 'refresh-token':
      return {
        style: config.auth,
        tokenUrl,
        clientId,
        clientSecret: config.clientSecret,
        refreshToken: config.refreshToken ?? '',
        scope: config.scope,
        ...(config.tokenFile === undefined ? {} : { store: fileTokenStore(config.tokenFile) }),
      }
  }
}

const textsOf = (value: JsonObject, what: string): Readonly<Record<string, string>> => {
  const texts: Record<string, string> = {}
  for (const [name, v] of Object.entries(value)) {
    if (typeof v !== 'string' && typeof v !== 'number' && typeof v !== 'boolean')
      throw new MillraceError('CONFIG_INVALID', { what, problems: [`${name} must be text`] })
    texts[name] = String(v)
  }
  return texts
}
