/**
 * How somebody proves who they are, apart from the form of tokens: the secrets of clients, one-time logins, passwords, what
 * tokens are signed with, and whether one still stands.
 */
import type { Client, PresentedToken, SigningKey, TokenVerdict, User } from '../control/types.ts'
import type { Actor, Principal } from '../domain/access.ts'

export interface Logins {
  /** The client with this id and secret; undefined where that is not so, in the same time whichever of both is wrong. */
  client(id: string, secret: string): Promise<Client | undefined>
  /** The user with this address and password; undefined where that is not so. */
  user(email: string, password: string): Promise<User | undefined>
  /**
   * Uses a one-time login up. With a password that becomes the user's in the same step, and ends the tokens of before. Throws
   * PASSWORD_WEAK; the login still works then.
   */
  oneTime(login: string, password?: string): Promise<User | undefined>
  /** The principal's own password; at least twelve characters. Throws PASSWORD_WEAK. */
  setPassword(p: Principal, password: string): Promise<void>
  /** The user that the manager made for itself; made where there is none. */
  administrator(): Promise<User>
  /**
   * At the first start: makes the administrator and answers a login that works once, within a day. Undefined where there is
   * one already; with `again` a new login for them, and one made before no longer works.
   */
  firstAdministrator(options?: {
    readonly again?: boolean
  }): Promise<{ readonly user: User; readonly login: string } | undefined>
  /** What signs now; made at the first start, the same on all managers. 32 secret bytes. */
  signingKey(): Promise<SigningKey>
  /** All that tokens may be signed with, the newest first. */
  signingKeys(): Promise<readonly SigningKey[]>
  /**
   * A new key signs from now on. Older ones check for as long as a token lives; with `atOnce` no longer, and every token of
   * before is refused. Administrators only.
   */
  rotateSigningKey(p: Principal, options?: { readonly atOnce?: boolean }): Promise<void>
  /** Whether a token still stands: looked up every time. */
  check(token: PresentedToken): Promise<TokenVerdict>
  revokeToken(p: Principal, token: { readonly id: string; readonly expiresAt: Date }): Promise<void>
  /** No token of the actor that was issued up to now is good any more. An actor its own, an administrator anybody's. */
  revokeAllTokens(p: Principal, actor: Actor): Promise<void>
}
