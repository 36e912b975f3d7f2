import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { MillraceError } from '@millrace/sdk'
import type { ControlPlane } from '../control/control-plane.ts'
import type { Client, PresentedToken, SigningKey, TokenVerdict, User } from '../control/types.ts'
import { type Actor, isAdministering, manager, type Principal } from '../domain/access.ts'
import { type Random, uuidv7 } from '../domain/ids.ts'
import { hashOf } from './actors.ts'
import type { Logins } from './logins.ts'

const derive = promisify(scrypt) as (
  password: string,
  salt: Uint8Array,
  length: number,
  options: object,
) => Promise<Buffer>

/** The cost of a password (OWASP, 2024): 2^17 blocks of 1 KiB, 128 MiB for a moment. Kept with each hash, so that it may rise. */
const cost = { N: 2 ** 17, r: 8, p: 1 }
const passwordLengths = { min: 12, max: 1_000 }
/** Hashes of passwords that are made at once; more wait, so that logins cannot take all memory. */
const maxAtOnce = 2
const dayMs = 24 * 3600_000
/** A token lives no longer; a key that was retired for so long has signed none that is good. */
const maxTokenMs = 3600_000
const administrator = { email: 'administrator@localhost', displayName: 'Administrator' }

export interface LoginOptions {
  readonly control: ControlPlane
  readonly now: () => Date
  readonly random: Random
}

export class LoginService implements Logins {
  readonly #control: ControlPlane
  readonly #now: () => Date
  readonly #random: Random
  readonly #seen = new Map<string, number>()
  #atOnce = 0
  readonly #queue: (() => void)[] = []

  constructor({ control, now, random }: LoginOptions) {
    this.#control = control
    this.#now = now
    this.#random = random
  }

  async client(id: string, secret: string): Promise<Client | undefined> {
    const shown = hashOf(secret)
    const hashes = await this.#control.clients.secretHashes(id)
    const isRight = hashes.map((hash) => hash.length === shown.length && timingSafeEqual(hash, shown)).includes(true)
    if (!isRight) return undefined
    await this.#noteSeen(id)
    return await this.#control.clients.find(id)
  }

  /** At most once a minute for each client. */
  async #noteSeen(id: string): Promise<void> {
    const at = this.#now()
    const minute = Math.floor(at.getTime() / 60_000)
    if (this.#seen.get(id) === minute) return
    if (this.#seen.size > 10_000) this.#seen.clear()
    this.#seen.set(id, minute)
    await this.#control.clients.seen([{ id, at }])
  }

  async user(email: string, password: string): Promise<User | undefined> {
    if (password.length > passwordLengths.max) return undefined
    const user = await this.#control.users.findByEmail(email)
    const hash = user === undefined ? undefined : await this.#control.users.passwordHash(user.id)
    // Somebody who is not here costs as much time as somebody who is.
    const isRight = await this.#matches(password, hash ?? nobody)
    return isRight && hash !== undefined ? user : undefined
  }

  async oneTime(login: string, password?: string): Promise<User | undefined> {
    // Before the login is used up: whoever chose a weak one may choose another.
    const hash = password === undefined ? undefined : await this.#passwordHash(password)
    return await this.#control.users.takeOneTimeLogin(hashOf(login), this.#now(), hash)
  }

  async setPassword(p: Principal, password: string): Promise<void> {
    if (p.type !== 'user') throw new MillraceError('ACTOR_UNKNOWN', { type: 'user', id: p.id })
    const hash = await this.#passwordHash(password)
    await this.#control.users.setPassword({ by: { type: 'user', id: p.id }, at: this.#now() }, p.id, hash)
  }

  async #passwordHash(password: string): Promise<string> {
    const { min, max } = passwordLengths
    if (password.length < min || password.length > max) throw new MillraceError('PASSWORD_WEAK', { min, max })
    const salt = this.#random.bytes(16)
    const derived = await this.#limited(() => derive(password, salt, 32, options(cost)))
    const text = ['scrypt', cost.N, cost.r, cost.p, Buffer.from(salt).toString('base64'), derived.toString('base64')]
    return text.join('$')
  }

  async #matches(password: string, hash: string): Promise<boolean> {
    const [, N, r, p, salt = '', wanted = ''] = hash.split('$')
    const known = Buffer.from(wanted, 'base64')
    const made = await this.#limited(() =>
      derive(
        password,
        Buffer.from(salt, 'base64'),
        known.length,
        options({ N: Number(N), r: Number(r), p: Number(p) }),
      ),
    )
    return timingSafeEqual(made, known)
  }

  async #limited<T>(work: () => Promise<T>): Promise<T> {
    if (this.#atOnce >= maxAtOnce) await new Promise<void>((resolve) => this.#queue.push(resolve))
    else this.#atOnce++
    try {
      return await work()
    } finally {
      const next = this.#queue.shift()
      if (next === undefined) this.#atOnce--
      else next()
    }
  }

  async administrator(): Promise<User> {
    const { users } = this.#control
    const known = await users.findByEmail(administrator.email)
    if (known !== undefined) return known
    const at = this.#now()
    const made = { id: uuidv7(at, this.#random), ...administrator, isAdministrator: true }
    return await users.ensure({ by: manager, at }, made)
  }

  async firstAdministrator({
    again = false,
  }: {
    readonly again?: boolean
  } = {}): Promise<{ readonly user: User; readonly login: string } | undefined> {
    const { users } = this.#control
    if (!again && (await users.findByEmail(administrator.email)) !== undefined) return undefined
    const user = await this.administrator()
    const login = Buffer.from(this.#random.bytes(32)).toString('base64url')
    const at = this.#now()
    await users.setOneTimeLogin({ by: manager, at }, user.id, hashOf(login), new Date(at.getTime() + dayMs))
    return { user, login }
  }

  #freshKey(): SigningKey {
    const createdAt = this.#now()
    const id = uuidv7(createdAt, this.#random)
    return { id, algorithm: 'HS256', secret: this.#random.bytes(32), createdAt, retiredAt: undefined }
  }

  async signingKey(): Promise<SigningKey> {
    return await this.#control.tokens.signingKey(this.#freshKey())
  }

  async signingKeys(): Promise<readonly SigningKey[]> {
    return await this.#control.tokens.signingKeys()
  }

  async rotateSigningKey(p: Principal, { atOnce = false }: { readonly atOnce?: boolean } = {}): Promise<void> {
    this.#requireAdministrator(p)
    const act = { by: { type: p.type, id: p.id }, at: this.#now() }
    await this.#control.tokens.rotate(act, this.#freshKey(), new Date(act.at.getTime() + (atOnce ? 1 : -maxTokenMs)))
  }

  async check(token: PresentedToken): Promise<TokenVerdict> {
    return await this.#control.tokens.check(token)
  }

  async revokeToken(p: Principal, token: { readonly id: string; readonly expiresAt: Date }): Promise<void> {
    await this.#control.tokens.revoke({ by: { type: p.type, id: p.id }, at: this.#now() }, token)
  }

  async revokeAllTokens(p: Principal, actor: Actor): Promise<void> {
    if (p.type !== actor.type || p.id !== actor.id) this.#requireAdministrator(p)
    await this.#control.tokens.revokeAll({ by: { type: p.type, id: p.id }, at: this.#now() }, actor)
  }

  #requireAdministrator(p: Principal): void {
    if (!isAdministering(p))
      throw new MillraceError('ACCESS_DENIED', { needs: 'an administrator with the scope admin' })
  }
}

const options = ({ N, r, p }: { readonly N: number; readonly r: number; readonly p: number }) => ({
  N,
  r,
  p,
  maxmem: 256 * N * r,
})

/** A hash that no password has, with the cost of one that has. */
const nobody = [
  'scrypt',
  cost.N,
  cost.r,
  cost.p,
  randomBytes(16).toString('base64'),
  Buffer.alloc(32).toString('base64'),
].join('$')
