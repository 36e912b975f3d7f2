/** Who asks: headers or query of a request, by the style of auth. */
import { isObject } from '../message/json.ts'
import { httpError, type Side } from './failures.ts'
import type { Clock, HttpAnswer, HttpAuth } from './types.ts'

export interface Credentials {
  readonly headers: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, string>>
}

/** Gives credentials for each request, and fresh ones where the old were not accepted. */
export interface Authority {
  credentials(): Promise<Credentials>
  /** Called after a 401 for `used`: true where another try with new ones makes sense. */
  renew(used: Credentials): Promise<boolean>
}

/** Posts a form to the token URL: the client's own way, with its retries. */
export type PostForm = (
  url: string,
  form: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>>,
) => Promise<HttpAnswer>

type OAuth = Extract<HttpAuth, { style: 'client-credentials' | 'refresh-token' }>

export const authorityFor = (
  auth: HttpAuth,
  options: { readonly side: Side; readonly clock: Clock; readonly post: PostForm },
): Authority => {
  switch (auth.style) {
    case 'none':
      return fixed({}, {})
    case 'header':
      return fixed({ [auth.name.toLowerCase()]: auth.value.trim() }, {})
    case 'query':
      return fixed({}, { [auth.name]: auth.value.trim() })
    case 'basic':
      return fixed({ authorization: basic(auth.user, auth.password) }, {})
    case 'bearer':
      return fixed({ authorization: `Bearer ${auth.token.trim()}` }, {})
    case 'client-credentials':
    case 'refresh-token':
      return new OAuthAuthority(auth, options)
  }
}

const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`, 'utf8').toString('base64')}`

const fixed = (headers: Credentials['headers'], query: Credentials['query']): Authority => {
  const credentials = { headers, query }
  return { credentials: async () => credentials, renew: async () => false }
}

/** A token is renewed so long before it ends, or at nine tenths of its life where that is short. */
const aheadMs = 30_000

/**
 * OAuth 2 with client credentials (RFC 6749 §4.4) or a refresh token (§6). One renewal is under way at a time. Where the
 * server rotates the refresh token, the new one is stored before anything else is done with the answer.
 */
class OAuthAuthority implements Authority {
  readonly #auth: OAuth
  readonly #side: Side
  readonly #clock: Clock
  readonly #post: PostForm
  #current: { readonly credentials: Credentials; readonly renewAt: number } | undefined
  #renewing: Promise<Credentials> | undefined
  #refreshToken: string | undefined

  constructor(auth: OAuth, options: { readonly side: Side; readonly clock: Clock; readonly post: PostForm }) {
    this.#auth = auth
    this.#side = options.side
    this.#clock = options.clock
    this.#post = options.post
  }

  async credentials(): Promise<Credentials> {
    const current = this.#current
    if (current !== undefined && this.#clock.now() < current.renewAt) return current.credentials
    return await this.#renew()
  }

  async renew(used: Credentials): Promise<boolean> {
    // Another request may have renewed it meanwhile.
    if (this.#current?.credentials === used) {
      this.#current = undefined
      await this.#renew()
    }
    return true
  }

  #renew(): Promise<Credentials> {
    this.#renewing ??= this.#fetch().finally(() => {
      this.#renewing = undefined
    })
    return this.#renewing
  }

  async #fetch(): Promise<Credentials> {
    const auth = this.#auth
    const form: Record<string, string> = { ...auth.fields }
    if (auth.scope !== undefined) form['scope'] = auth.scope
    if (auth.style === 'client-credentials') form['grant_type'] = 'client_credentials'
    else {
      this.#refreshToken ??= (await auth.store?.load(auth.refreshToken)) ?? auth.refreshToken.trim()
      form['grant_type'] = 'refresh_token'
      form['refresh_token'] = this.#refreshToken
    }
    const headers: Record<string, string> = {}
    if (auth.sendAs === 'body' || auth.clientSecret === undefined) {
      form['client_id'] = auth.clientId
      if (auth.clientSecret !== undefined) form['client_secret'] = auth.clientSecret
    } else headers['authorization'] = basic(encodeURIComponent(auth.clientId), encodeURIComponent(auth.clientSecret))
    const answer = await this.#post(auth.tokenUrl, form, headers)
    const body = answer.status < 300 ? answer.json() : undefined
    const token = isObject(body ?? null) ? (body as Record<string, unknown>)['access_token'] : undefined
    if (!isObject(body ?? null) || typeof token !== 'string' || token === '') throw this.#refused(answer)
    const given = body as Readonly<Record<string, unknown>>
    const rotated = given['refresh_token']
    if (
      auth.style === 'refresh-token' &&
      typeof rotated === 'string' &&
      rotated !== '' &&
      rotated !== this.#refreshToken
    ) {
      this.#refreshToken = rotated
      await auth.store?.save(auth.refreshToken, rotated)
    }
    const lifeMs = Number(given['expires_in'] ?? 3600) * 1000
    const credentials = { headers: { authorization: `Bearer ${token}` }, query: {} }
    this.#current = {
      credentials,
      renewAt: this.#clock.now() + (Number.isFinite(lifeMs) ? lifeMs - Math.min(aheadMs, lifeMs / 10) : 3600_000),
    }
    return credentials
  }

  #refused(answer: HttpAnswer): Error {
    return httpError({
      side: this.#side,
      kind: 'refused',
      what: answer.asked,
      why:
        answer.status < 300
          ? 'the token endpoint gave no access token'
          : `no token was given (${answer.status}${errorName(answer)})`,
      fix:
        this.#auth.style === 'refresh-token'
          ? 'Check client id and secret; where the refresh token was revoked or used up, authorise anew and set the new one.'
          : 'Check token URL, client id, secret and scope.',
      status: answer.status,
    })
  }
}

/** The `error` of RFC 6749 §5.2, where it is one of its words: anything else may be private. */
const errorName = (answer: HttpAnswer): string => {
  const known =
    /"error"\s*:\s*"(invalid_request|invalid_client|invalid_grant|unauthorized_client|unsupported_grant_type|invalid_scope)"/
  const name = known.exec(answer.bytes.subarray(0, 4096).toString('latin1'))?.[1]
  return name === undefined ? '' : `, ${name}`
}
