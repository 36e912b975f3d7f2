/** Tokens (OAuth 2, RFC 6749 and 7009), and who one is. */
import { isMillraceError, MillraceError } from '@millrace/sdk'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Actor, type Scope, scopes as allScopes, scopesNamed } from '../../domain/access.ts'
import { Buckets } from '../../http/buckets.ts'
import { flag, listOf, object, orNull, type Schema, text, whole } from '../../http/schema.ts'
import { type AddRoutes, type Api, answers, base, doc, nothing } from '../api.ts'

/** How OAuth says that it did not work. */
class OAuthFault extends Error {
  readonly status: number
  readonly error: string
  constructor(status: number, error: string, message: string) {
    super(message)
    this.status = status
    this.error = error
  }
}

const form = object(
  { grant_type: text({ maxLength: 100, description: 'client_credentials, password, or urn:millrace:one-time-login' }) },
  {
    client_id: text({ maxLength: 200, description: 'or by HTTP basic authentication' }),
    client_secret: text({ maxLength: 200 }),
    username: text({ maxLength: 254, description: 'the e-mail address of a user' }),
    password: text({ maxLength: 1000, description: 'of the user; with a login that works once, the one to set' }),
    login: text({ maxLength: 200, description: 'a login that works once' }),
    scope: text({ maxLength: 400, description: 'parted by spaces; all that one may have where it is left out' }),
  },
)
type Form = Readonly<Record<string, string | undefined>>

const basicOf = (header: string | undefined): { readonly id: string; readonly secret: string } | undefined => {
  const encoded = /^basic +([A-Za-z0-9+/=]+) *$/i.exec(header ?? '')?.[1]
  if (encoded === undefined) return undefined
  const decoded = Buffer.from(encoded, 'base64').toString()
  const colon = decoded.indexOf(':')
  if (colon < 0) return undefined
  // RFC 6749, 2.3.1: both are form-encoded first.
  const plain = (s: string): string => {
    try {
      return decodeURIComponent(s.replaceAll('+', ' '))
    } catch {
      return s
    }
  }
  return { id: plain(decoded.slice(0, colon)), secret: plain(decoded.slice(colon + 1)) }
}

const forClients: readonly Scope[] = allScopes.filter((scope) => scope !== 'admin')

const scopesFor = (asked: string | undefined, may: readonly Scope[]): readonly Scope[] => {
  const words = (asked ?? '').split(' ').filter((w) => w !== '')
  if (words.length === 0) return may
  const found = words.map(scopesNamed)
  if (found.some((named) => named === undefined || named.some((scope) => !may.includes(scope))))
    throw new OAuthFault(400, 'invalid_scope', 'a scope is not known, or not for this holder')
  return [...new Set(found.flatMap((named) => named ?? []))]
}

interface Holder {
  readonly actor: Actor
  readonly may: readonly Scope[]
}

const holderOf = async (api: Api, fields: Form, header: string | undefined): Promise<Holder> => {
  const { logins, tokens } = api
  const userHolder = (user: { readonly id: string; readonly isAdministrator: boolean } | undefined): Holder => {
    if (user === undefined) throw new OAuthFault(400, 'invalid_grant', 'this login is not known, or was used')
    return { actor: { type: 'user', id: user.id }, may: user.isAdministrator ? allScopes : forClients }
  }
  switch (fields['grant_type']) {
    case 'client_credentials': {
      const basic = basicOf(header)
      const id = basic?.id ?? fields['client_id']
      const secret = basic?.secret ?? fields['client_secret']
      if (id === undefined || secret === undefined)
        throw new OAuthFault(
          401,
          'invalid_client',
          'say client_id and client_secret, in the form or by basic authentication',
        )
      const client = await logins.client(id, secret)
      if (client === undefined) throw new OAuthFault(401, 'invalid_client', 'no client has this id and secret')
      return { actor: { type: 'client', id: client.id }, may: forClients }
    }
    case 'password':
      return userHolder(await logins.user(fields['username'] ?? '', fields['password'] ?? ''))
    case 'urn:millrace:one-time-login': {
      const user = await logins.oneTime(fields['login'] ?? '', fields['password'])
      // With a new password the tokens of before are no longer good.
      if (user !== undefined && fields['password'] !== undefined) await tokens.forget({ type: 'user', id: user.id })
      return userHolder(user)
    }
    default:
      throw new OAuthFault(
        400,
        'unsupported_grant_type',
        'the grant types are client_credentials, password and urn:millrace:one-time-login',
      )
  }
}

/** The fields of a form or of a JSON object; each once. */
export const formFields = (request: FastifyRequest): Form => {
  const { body } = request
  if (typeof body === 'string') {
    const fields = new URLSearchParams(body)
    const out: Record<string, string> = Object.create(null) as Record<string, string>
    for (const [name, value] of fields) {
      if (name in out) throw new OAuthFault(400, 'invalid_request', 'a field comes twice')
      out[name] = value
    }
    return out
  }
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) {
    const out: Record<string, string> = Object.create(null) as Record<string, string>
    for (const [name, value] of Object.entries(body)) {
      if (typeof value !== 'string') throw new OAuthFault(400, 'invalid_request', 'fields are texts')
      out[name] = value
    }
    return out
  }
  throw new OAuthFault(400, 'invalid_request', 'send a form: application/x-www-form-urlencoded')
}

const token = object({ access_token: text(), token_type: text(), expires_in: whole(), scope: text() })

export const addAuth: AddRoutes = (app, api) => {
  const { tokens, logins, service, limits } = api
  const failures = new Buckets({
    perSecond: limits.failedLoginsPerMinute / 60,
    burst: limits.failedLoginsPerMinute,
    now: api.ticks,
  })
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
    done(null, body),
  )

  const issue = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    // Taken first and given back where the secret is right, so that many at once cannot try more.
    const waitMs = failures.take(request.ip)
    if (waitMs > 0)
      throw new MillraceError('REQUEST_LIMITED', {
        why: 'too many wrong logins from this address',
        seconds: Math.ceil(waitMs / 1000),
      })
    try {
      const fields = formFields(request)
      const { actor, may } = await holderOf(api, fields, request.headers.authorization)
      failures.giveBack(request.ip)
      const granted = scopesFor(fields['scope'], may)
      const { token: access, seconds } = await tokens.issue(actor, granted)
      return await reply.header('pragma', 'no-cache').send({
        access_token: access,
        token_type: 'Bearer',
        expires_in: seconds,
        scope: granted.join(' '),
      })
    } catch (e) {
      if (!(e instanceof OAuthFault)) throw e
      if (e.status === 401) void reply.header('www-authenticate', 'Basic realm="millrace"')
      return await reply.code(e.status).send({ error: e.error, error_description: e.message })
    }
  }
  const schema = {
    ...doc('getToken', 'tokens', 'A token for an hour.'),
    security: [],
    consumes: ['application/x-www-form-urlencoded'],
    response: answers(200, token as Schema<unknown>),
  }
  app.post(
    `${base}/oauth/token`,
    {
      config: { open: true },
      schema: { ...schema, body: form as Schema<unknown> },
      validatorCompiler: () => () => true,
    },
    issue,
  )
  // The places where other clients of OAuth look, those of StreamDuo below its base URL.
  for (const place of ['/oauth2/token', '/streamduo/oauth2/token'])
    app.post(place, { config: { open: true }, schema: { hide: true } }, issue)

  app.post(
    `${base}/oauth/revoke`,
    {
      schema: {
        ...doc('revokeToken', 'tokens', 'Revoke the token that the request is made with.'),
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      const { tokenId, expiresAt, principal } = request.bearer
      if (tokenId === 'local')
        throw new MillraceError('REQUEST_INVALID', { problems: ['the local token ends with its manager'] })
      await logins.revokeToken(principal, { id: tokenId, expiresAt })
      await tokens.forget(principal)
      return await reply.code(204).send(undefined)
    },
  )
  app.delete(
    `${base}/me/tokens`,
    {
      schema: {
        ...doc('revokeMyTokens', 'tokens', 'Revoke all tokens of the one who asks.'),
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      const { type, id } = request.caller
      await logins.revokeAllTokens(request.caller, { type, id })
      await tokens.forget({ type, id })
      return await reply.code(204).send(undefined)
    },
  )
  app.post(
    `${base}/signing-key/rotate`,
    {
      schema: {
        ...doc(
          'rotateSigningKey',
          'tokens',
          'Sign tokens with a new key from now on (administrators only). Tokens of before are good until they expire, or with atOnce no longer.',
        ),
        body: object(
          {},
          { atOnce: flag({ description: 'refuse all tokens of before: the key was seen by somebody' }) },
        ),
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      await logins.rotateSigningKey(request.caller, { atOnce: request.body.atOnce === true })
      await tokens.forget()
      return await reply.code(204).send(undefined)
    },
  )
  app.put(
    `${base}/me/password`,
    {
      schema: {
        ...doc('setPassword', 'users', 'Give the user who asks a password.'),
        body: object({ password: text({ minLength: 1, maxLength: 1000 }) }),
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      await logins.setPassword(request.caller, request.body.password)
      return await reply.code(204).send(undefined)
    },
  )
  app.get(
    `${base}/me`,
    {
      schema: {
        ...doc('getMe', 'users', 'Who asks.'),
        response: answers(
          200,
          object({
            type: text(),
            id: text(),
            displayName: text(),
            email: orNull(text()),
            isAdministrator: flag(),
            scopes: listOf(text()),
            expiresAt: orNull(text()),
          }),
        ),
      },
    },
    async (request) => {
      const { principal, tokenId, expiresAt } = request.bearer
      const shared = {
        type: principal.type,
        id: principal.id,
        isAdministrator: principal.isAdministrator,
        scopes: [...principal.scopes],
        expiresAt: tokenId === 'local' ? null : expiresAt.toISOString(),
      }
      if (principal.type === 'user') {
        const me = await service.users.me(principal)
        return { ...shared, displayName: me.displayName, email: me.email }
      }
      const me = await service.clients.get(principal, principal.id).catch((e: unknown) => {
        // A client without the scope to look at clients still is who it is.
        if (isMillraceError(e)) return undefined
        throw e
      })
      return { ...shared, displayName: me?.displayName ?? principal.id, email: null }
    },
  )
}
