/** Who may use a stream, the programs of an actor, and users. */
import { createHash } from 'node:crypto'
import { MillraceError } from '@millrace/sdk'
import type { Client, Page, PageQuery, Permission, User } from '../control/types.ts'
import { type Actor, isAdministering, type Principal, type Rights } from '../domain/access.ts'
import type { Context } from './context.ts'
import type { Clients, Sharing, Users } from './stream-service.ts'
import type { ClientWithSecret, Granted, Grantee, StreamRef, UserWithLogin } from './types.ts'

const maxName = 500
const maxDescription = 10_000
/** How long a login works that is made for a user. */
const loginMs = 7 * 24 * 3600_000

const argument = (why: string): MillraceError => new MillraceError('CONTROL_ARGUMENT', { why })

/** What is kept of a secret of 256 random bits. */
export const hashOf = (secret: string): Uint8Array => createHash('sha256').update(secret).digest()

const checkName = (displayName: string, description = ''): void => {
  if (displayName === '' || displayName.length > maxName)
    throw argument(`a display name has 1 to ${maxName} characters`)
  if (description.length > maxDescription) throw argument(`a description has at most ${maxDescription} characters`)
}

/** An address as it is kept. Whether somebody reads what is sent there is not ours to know. Throws CONTROL_ARGUMENT. */
export const checkedEmail = (email: string): string => {
  if (email.length > 254 || !/^[^\s@"<>]+@[^\s@"<>]+$/.test(email)) throw argument('this is no e-mail address')
  return email.toLowerCase()
}

export class SharingService implements Sharing {
  readonly #context: Context
  readonly #clients: ClientService

  constructor(context: Context, clients: ClientService) {
    this.#context = context
    this.#clients = clients
  }

  async list(p: Principal, ref: StreamRef): Promise<readonly Permission[]> {
    const { stream } = await this.#context.allow(p, ref, 'manage')
    return await this.#context.control.permissions.list(stream.id)
  }

  async own(p: Principal, ref: StreamRef): Promise<Permission | undefined> {
    const { stream } = await this.#context.allow(p, ref, 'show')
    const all = await this.#context.control.permissions.list(stream.id)
    return all.find(({ actor }) => actor.type === p.type && actor.id === p.id)
  }

  async grant(p: Principal, ref: StreamRef, to: Grantee, rights: Rights): Promise<Granted> {
    const { stream } = await this.#context.allow(p, ref, 'manage')
    const granted = await this.#actorOf(p, to)
    await this.#context.control.permissions.grant(this.#context.act(p), stream.id, granted.actor, rights)
    await this.#context.rightsChanged(granted.actor)
    return granted
  }

  async #actorOf(p: Principal, to: Grantee): Promise<Granted> {
    if ('actor' in to) return { actor: to.actor, secret: undefined }
    if ('email' in to) {
      const email = checkedEmail(to.email)
      const user = { id: this.#context.newId(), email, displayName: email, isAdministrator: false }
      const { id } = await this.#context.control.users.ensure(this.#context.act(p), user)
      return { actor: { type: 'user', id }, secret: undefined }
    }
    const { client, secret } = await this.#clients.make(p, to.newClient)
    return { actor: { type: 'client', id: client.id }, secret }
  }

  async revoke(p: Principal, ref: StreamRef, actor: Actor): Promise<void> {
    const { stream } = await this.#context.allow(p, ref, 'manage')
    await this.#context.control.permissions.revoke(this.#context.act(p), stream.id, actor)
    await this.#context.rightsChanged(actor)
  }
}

export class ClientService implements Clients {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  async create(
    p: Principal,
    client: { readonly displayName: string; readonly description?: string | undefined },
  ): Promise<ClientWithSecret> {
    this.#context.requireScope(p, 'streams:manage')
    return await this.make(p, client)
  }

  /** Makes a client of the principal, whose scopes somebody looked at. */
  async make(
    p: Principal,
    { displayName, description = '' }: { readonly displayName: string; readonly description?: string | undefined },
  ): Promise<ClientWithSecret> {
    checkName(displayName, description)
    const secret = this.#context.newSecret()
    const client = await this.#context.control.clients.create(this.#context.act(p), {
      id: this.#context.newId(),
      displayName,
      description,
      owner: { type: p.type, id: p.id },
      secret: { id: this.#context.newId(), hash: hashOf(secret) },
    })
    return { client, secret }
  }

  /** A client that is the principal's; of somebody else's it is said that there is none. */
  async #mine(p: Principal, id: string): Promise<Client> {
    this.#context.requireScope(p, 'streams:manage', 'admin')
    const found = await this.#context.control.clients.find(id)
    const isMine = found?.owner.type === p.type && found.owner.id === p.id && p.scopes.includes('streams:manage')
    if (found === undefined || !(isMine || isAdministering(p)))
      throw new MillraceError('ACTOR_UNKNOWN', { type: 'client', id })
    return found
  }

  async get(p: Principal, id: string): Promise<Client> {
    return await this.#mine(p, id)
  }

  async list(p: Principal, query: PageQuery & { readonly all?: boolean | undefined } = {}): Promise<Page<Client>> {
    if (query.all === true) {
      this.#context.requireAdministrator(p)
      return await this.#context.control.clients.list({ after: query.after, limit: query.limit })
    }
    this.#context.requireScope(p, 'streams:manage')
    const owner = { type: p.type, id: p.id }
    return await this.#context.control.clients.list({ after: query.after, limit: query.limit, owner })
  }

  async rotate(p: Principal, id: string): Promise<ClientWithSecret> {
    await this.#mine(p, id)
    const secret = this.#context.newSecret()
    const kept = { id: this.#context.newId(), hash: hashOf(secret) }
    return { client: await this.#context.control.clients.rotate(this.#context.act(p), id, kept), secret }
  }

  async endRotation(p: Principal, id: string): Promise<Client> {
    await this.#mine(p, id)
    return await this.#context.control.clients.endRotation(this.#context.act(p), id)
  }

  async revoke(p: Principal, id: string): Promise<void> {
    await this.#mine(p, id)
    await this.#context.control.clients.revoke(this.#context.act(p), id)
  }

  async delete(p: Principal, id: string): Promise<void> {
    await this.#mine(p, id)
    await this.#context.control.clients.remove(this.#context.act(p), id)
  }
}

export class UserService implements Users {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  async me(p: Principal): Promise<User> {
    const { control } = this.#context
    let actor: Actor = p
    // A client of a client: up to the user, and not for ever.
    for (let steps = 0; actor.type === 'client' && steps < 10; steps++) {
      const client: Client | undefined = await control.clients.find(actor.id)
      if (client === undefined) break
      actor = client.owner
    }
    const user = actor.type === 'user' ? await control.users.find(actor.id) : undefined
    if (user === undefined) throw new MillraceError('ACTOR_UNKNOWN', { type: 'user', id: actor.id })
    return user
  }

  async get(p: Principal, id: string): Promise<User> {
    if (p.type !== 'user' || p.id !== id) this.#context.requireAdministrator(p)
    const user = await this.#context.control.users.find(id)
    if (user === undefined) throw new MillraceError('ACTOR_UNKNOWN', { type: 'user', id })
    return user
  }

  async create(
    p: Principal,
    wanted: {
      readonly email: string
      readonly displayName?: string | undefined
      readonly isAdministrator?: boolean | undefined
    },
  ): Promise<UserWithLogin> {
    this.#context.requireAdministrator(p)
    const { users } = this.#context.control
    const email = checkedEmail(wanted.email)
    const displayName = wanted.displayName ?? email
    checkName(displayName)
    const act = this.#context.act(p)
    const isAdministrator = wanted.isAdministrator ?? false
    const known = await users.findByEmail(email)
    if (known === undefined || known.hasPassword) {
      const user = await users.create(act, { id: this.#context.newId(), email, displayName, isAdministrator })
      return await this.#withLogin(p, user)
    }
    // A grant made them, or their first login was lost. Nothing that they are is taken away.
    const wantedNow = {
      displayName: wanted.displayName ?? known.displayName,
      isAdministrator: isAdministrator || known.isAdministrator,
    }
    const isSame = wantedNow.displayName === known.displayName && wantedNow.isAdministrator === known.isAdministrator
    return await this.#withLogin(p, isSame ? known : await users.update(act, known.id, wantedNow))
  }

  async invite(p: Principal, address: string): Promise<UserWithLogin> {
    this.#context.requireAdministrator(p)
    const email = checkedEmail(address)
    const user = await this.#context.control.users.findByEmail(email)
    if (user === undefined) throw new MillraceError('ACTOR_UNKNOWN', { type: 'user', id: email })
    return await this.#withLogin(p, user)
  }

  async #withLogin(p: Principal, user: User): Promise<UserWithLogin> {
    const act = this.#context.act(p)
    const oneTimeLogin = this.#context.newSecret()
    const expiresAt = new Date(act.at.getTime() + loginMs)
    await this.#context.control.users.setOneTimeLogin(act, user.id, hashOf(oneTimeLogin), expiresAt)
    return { user, oneTimeLogin }
  }

  async list(p: Principal, query: PageQuery = {}): Promise<Page<User>> {
    this.#context.requireAdministrator(p)
    return await this.#context.control.users.list(query)
  }

  async delete(p: Principal, id: string): Promise<void> {
    this.#context.requireAdministrator(p)
    await this.#context.control.users.remove(this.#context.act(p), id)
  }
}
