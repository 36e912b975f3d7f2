/**
 * Access tokens: JWTs (RFC 9068 in spirit) signed with HMAC SHA-256 by a key that all managers of a control plane share. Algorithm, issuer,
 * audience and type are pinned; a token lives for an hour at most.
 */
import { timingSafeEqual } from 'node:crypto'
import { MillraceError } from '@millrace/sdk'
import { isScope, type Actor, type Principal, type Scope } from '../domain/access.ts'
import type { PresentedToken, SigningKey, TokenVerdict } from '../control/types.ts'

const issuer = 'millrace'
const audience = 'millrace-api'
const algorithm = 'HS256'
const type = 'at+jwt'
/** Seconds that a token lives. */
export const tokenSeconds = 3600
/** How long a good verdict counts before the control plane is asked again, milliseconds. */
const verdictMs = 1000
const maxKnown = 5_000

export interface TokenLogins {
  signingKey(): Promise<SigningKey>
  signingKeys(): Promise<readonly SigningKey[]>
  check(token: PresentedToken): Promise<TokenVerdict>
}

/** Who a token says that one is. */
export interface Bearer {
  readonly principal: Principal
  readonly tokenId: string
  readonly expiresAt: Date
}

interface Known {
  readonly bearer: Bearer
  readonly issuedAt: Date
  readonly keyId: string
  checkedAt: number
}

/** A token that lives as long as this manager, for whoever may read its private file. */
export interface LocalToken {
  readonly text: string
  readonly principal: Principal
}

/** In a time that says nothing of where they differ. */
const isSame = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b)
const invalid = (why: string, cause?: unknown): MillraceError => new MillraceError('TOKEN_INVALID', { why }, { cause })

export class Tokens {
  readonly #logins: TokenLogins
  readonly #now: () => Date
  readonly #newId: () => string
  readonly #revoked: (actor: Actor | undefined) => Promise<void>
  #local: { readonly text: Buffer; readonly bearer: Bearer } | undefined
  /** Tokens whose signature was good, by their text. */
  readonly #known = new Map<string, Known>()

  constructor(options: {
    readonly logins: TokenLogins
    readonly now: () => Date
    readonly newId: () => string
    /** Whose tokens were revoked here, or everybody's; waited for. */
    readonly revoked?: (actor: Actor | undefined) => Promise<void>
  }) {
    this.#logins = options.logins
    this.#revoked = options.revoked ?? (async () => {})
    this.#now = options.now
    this.#newId = options.newId
  }

  /** Takes a local token from now on. */
  set local(token: LocalToken) {
    const bearer = { principal: token.principal, tokenId: 'local', expiresAt: new Date(8.64e15) }
    this.#local = { text: Buffer.from(token.text), bearer }
  }

  /** A token for an actor. The scopes are those it may have: nothing is checked here. */
  async issue(actor: Actor, scopes: readonly Scope[]): Promise<{ readonly token: string; readonly seconds: number }> {
    const { SignJWT } = await import('jose')
    const key = await this.#logins.signingKey()
    const now = this.#now().getTime() / 1000
    const token = await new SignJWT({ actor: actor.type, scope: scopes.join(' ') })
      .setProtectedHeader({ alg: algorithm, typ: type, kid: key.id })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject(actor.id)
      .setJti(this.#newId())
      .setIssuedAt(now)
      .setExpirationTime(now + tokenSeconds)
      .sign(key.secret)
    return { token, seconds: tokenSeconds }
  }

  /** Who shows a token. Throws TOKEN_INVALID: it is none of ours, expired, was revoked, or its actor is gone. */
  async verify(token: string): Promise<Bearer> {
    if (this.#local !== undefined && token.startsWith('local_')) {
      if (isSame(Buffer.from(token), this.#local.text)) return this.#local.bearer
      throw invalid('the token is not one of this manager')
    }
    const now = this.#now()
    const known = this.#known.get(token) ?? (await this.#read(token))
    if (known.bearer.expiresAt <= now) {
      this.#known.delete(token)
      throw invalid('the token has expired')
    }
    if (now.getTime() - known.checkedAt < verdictMs) return known.bearer
    const { principal, tokenId } = known.bearer
    const actor = { type: principal.type, id: principal.id }
    const { issuedAt, keyId } = known
    const verdict = await this.#logins.check({ id: tokenId, actor, issuedAt, keyId })
    if (verdict.is !== 'good') {
      this.#known.delete(token)
      throw invalid(verdict.is === 'revoked' ? 'the token was revoked' : 'the holder of the token is gone')
    }
    const bearer = { ...known.bearer, principal: { ...principal, isAdministrator: verdict.isAdministrator } }
    this.#known.delete(token)
    this.#known.set(token, { bearer, issuedAt, keyId, checkedAt: now.getTime() })
    if (this.#known.size > maxKnown) this.#known.delete(this.#known.keys().next().value as string)
    return bearer
  }

  /** After tokens of an actor, or of all, were revoked by this manager: the control plane is asked again at once. */
  async forget(actor?: Actor): Promise<void> {
    this.#known.clear()
    await this.#revoked(actor)
  }

  async #read(token: string): Promise<Known> {
    if (token.length > 4096) throw invalid('the token is too long')
    const { jwtVerify, errors } = await import('jose')
    const keys = await this.#logins.signingKeys()
    try {
      const { payload, protectedHeader } = await jwtVerify(
        token,
        ({ kid }) => {
          const key = keys.find(({ id }) => id === kid)
          if (key === undefined) throw new errors.JOSEError('no such key')
          return key.secret
        },
        {
          algorithms: [algorithm],
          typ: type,
          issuer,
          audience,
          requiredClaims: ['sub', 'jti', 'iat', 'exp', 'actor', 'scope'],
          maxTokenAge: tokenSeconds,
          // Managers share tokens, and their clocks differ. That it expired is looked at again below, to the moment.
          clockTolerance: 5,
          currentDate: this.#now(),
        },
      )
      const { sub, jti, iat, exp } = payload
      const { actor, scope } = payload as { readonly actor?: unknown; readonly scope?: unknown }
      if (actor !== 'client' && actor !== 'user') throw new errors.JWTInvalid('no actor')
      const scopes = String(scope).split(' ').filter(isScope)
      return {
        bearer: {
          principal: { type: actor, id: String(sub), scopes, isAdministrator: false },
          tokenId: String(jti),
          expiresAt: new Date(Number(exp) * 1000),
        },
        issuedAt: new Date(Number(iat) * 1000),
        keyId: String(protectedHeader.kid),
        checkedAt: 0,
      }
    } catch (e) {
      if (e instanceof errors.JWTExpired) throw invalid('the token has expired', e)
      if (e instanceof errors.JOSEError || e instanceof TypeError) throw invalid('the token is not one of ours', e)
      throw e
    }
  }
}
