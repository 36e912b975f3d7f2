/** Clients: programs with a secret. And users: people. */
import type { Client, User } from '../../control/types.ts'
import { flag, type Infer, object, text, whole } from '../../http/schema.ts'
import type { ClientWithSecret, UserWithLogin } from '../../streams/types.ts'
import {
  actor,
  type AddRoutes,
  answerPage,
  answers,
  base,
  doc,
  iso,
  maybeMoment,
  moment,
  nothing,
  pageOf,
  pageQuery,
} from '../api.ts'

const client = object({
  id: text(),
  displayName: text(),
  description: text(),
  owner: actor,
  createdAt: moment,
  lastUsedAt: maybeMoment,
  isRevoked: flag(),
  secrets: whole({ description: 'how many secrets work: two while they are rotated' }),
})
const showClient = (c: Client): Infer<typeof client> => ({
  id: c.id,
  displayName: c.displayName,
  description: c.description,
  owner: { type: c.owner.type, id: c.owner.id },
  createdAt: iso(c.createdAt),
  lastUsedAt: c.lastUsedAt === undefined ? null : iso(c.lastUsedAt),
  isRevoked: c.isRevoked,
  secrets: c.secrets,
})
const withSecret = object({ client, secret: text({ description: 'shown this once' }) })
const showSecret = (c: ClientWithSecret): Infer<typeof withSecret> => ({
  client: showClient(c.client),
  secret: c.secret,
})
const user = object({
  id: text(),
  email: text(),
  displayName: text(),
  isAdministrator: flag(),
  createdAt: moment,
  hasPassword: flag(),
})
const showUser = (u: User): Infer<typeof user> => ({
  id: u.id,
  email: u.email,
  displayName: u.displayName,
  isAdministrator: u.isAdministrator,
  createdAt: iso(u.createdAt),
  hasPassword: u.hasPassword,
})
const email = text({ minLength: 3, maxLength: 254, pattern: '^[^@\\s]+@[^@\\s]+$' })
const withLogin = object({ user, oneTimeLogin: text({ description: 'shown this once, good for a week' }) })
const showLogin = (made: UserWithLogin): Infer<typeof withLogin> => ({
  user: showUser(made.user),
  oneTimeLogin: made.oneTimeLogin,
})

const clientParams = object({ client: text({ minLength: 1, maxLength: 100, description: 'the id of a client' }) })
const userParams = object({ user: text({ minLength: 1, maxLength: 100, description: 'the id of a user' }) })

export const addClients: AddRoutes = (app, { service, tokens }) => {
  const all = `${base}/clients`
  const one = `${all}/:client`
  const { clients } = service
  app.post(
    all,
    {
      schema: {
        ...doc('createClient', 'clients', 'Make a client; its secret is shown this once.'),
        body: object(
          { displayName: text({ minLength: 1, maxLength: 200 }) },
          { description: text({ maxLength: 2000 }) },
        ),
        response: answers(201, withSecret),
      },
    },
    async (request, reply) =>
      await reply.code(201).send(showSecret(await clients.create(request.caller, request.body))),
  )
  app.get(
    all,
    {
      schema: {
        ...doc('listClients', 'clients', 'One’s own clients; with `all`, everybody’s (administrators only).'),
        querystring: object({}, { ...pageQuery, all: flag() }),
        response: answers(200, pageOf(client)),
      },
    },
    async (request) => answerPage(await clients.list(request.caller, request.query), showClient),
  )
  app.get(
    one,
    { schema: { ...doc('getClient', 'clients', 'A client.'), params: clientParams, response: answers(200, client) } },
    async (request) => showClient(await clients.get(request.caller, request.params.client)),
  )
  app.delete(
    one,
    {
      schema: {
        ...doc('deleteClient', 'clients', 'Delete a client, with what it was granted.'),
        params: clientParams,
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      await clients.delete(request.caller, request.params.client)
      await tokens.forget({ type: 'client', id: request.params.client })
      return await reply.code(204).send(undefined)
    },
  )
  app.post(
    `${one}/rotate`,
    {
      schema: {
        ...doc(
          'rotateSecret',
          'clients',
          'A new secret; the one before works until `end-rotation` or the next rotation.',
        ),
        params: clientParams,
        response: answers(200, withSecret),
      },
    },
    async (request) => showSecret(await clients.rotate(request.caller, request.params.client)),
  )
  app.post(
    `${one}/end-rotation`,
    {
      schema: {
        ...doc('endRotation', 'clients', 'Only the newest secret works from now on.'),
        params: clientParams,
        response: answers(200, client),
      },
    },
    async (request) => showClient(await clients.endRotation(request.caller, request.params.client)),
  )
  app.post(
    `${one}/revoke`,
    {
      schema: {
        ...doc('revokeClient', 'clients', 'No secret and no token of the client works from now on.'),
        params: clientParams,
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      await clients.revoke(request.caller, request.params.client)
      await tokens.forget({ type: 'client', id: request.params.client })
      return await reply.code(204).send(undefined)
    },
  )
}

export const addUsers: AddRoutes = (app, { service, tokens }) => {
  const all = `${base}/users`
  const { users } = service
  app.post(
    all,
    {
      schema: {
        ...doc(
          'createUser',
          'users',
          'Make a user (administrators only), with a login that works once. Somebody who is there without a password gets another login.',
        ),
        body: object({ email }, { displayName: text({ minLength: 1, maxLength: 200 }), isAdministrator: flag() }),
        response: answers(201, withLogin),
      },
    },
    async (request, reply) => await reply.code(201).send(showLogin(await users.create(request.caller, request.body))),
  )
  app.post(
    `${all}/invite`,
    {
      schema: {
        ...doc(
          'inviteUser',
          'users',
          'Make a login that works once for a user who is there (administrators only), as for a forgotten password. One made before no longer works.',
        ),
        body: object({ email }),
        response: answers(201, withLogin),
      },
    },
    async (request, reply) =>
      await reply.code(201).send(showLogin(await users.invite(request.caller, request.body.email))),
  )
  app.get(
    all,
    {
      schema: {
        ...doc('listUsers', 'users', 'All users (administrators only).'),
        querystring: object({}, pageQuery),
        response: answers(200, pageOf(user)),
      },
    },
    async (request) => answerPage(await users.list(request.caller, request.query), showUser),
  )
  app.get(
    `${all}/:user`,
    { schema: { ...doc('getUser', 'users', 'A user.'), params: userParams, response: answers(200, user) } },
    async (request) => showUser(await users.get(request.caller, request.params.user)),
  )
  app.delete(
    `${all}/:user`,
    {
      schema: {
        ...doc('deleteUser', 'users', 'Delete a user (administrators only).'),
        params: userParams,
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      await users.delete(request.caller, request.params.user)
      await tokens.forget({ type: 'user', id: request.params.user })
      return await reply.code(204).send(undefined)
    },
  )
}
