/** The clients of whoever asks, and the user behind it. */
import type { JsonObject } from '@millrace/sdk'
import type { Client, User } from '../../control/types.ts'
import { type AddRoutes, bodyOf, optionalText, paramsOf, textOf } from './context.ts'

const clientJson = (c: Client): JsonObject => ({
  clientId: c.id,
  clientDisplayName: c.displayName,
  clientDescription: c.description,
})

const userJson = (u: User): JsonObject => ({ userId: u.id, userEmail: u.email, userDisplayName: u.displayName })

export const addActors: AddRoutes = (app, { service: { clients, users } }) => {
  app.get('/client', async (request) => {
    const out: JsonObject[] = []
    for (let after: string | undefined; ; ) {
      const page = await clients.list(request.caller, { after, limit: 1000 })
      out.push(...page.items.map(clientJson))
      after = page.next
      if (after === undefined) return out
    }
  })

  app.post('/client', async (request) => {
    const body = bodyOf(request)
    const { client, secret } = await clients.create(request.caller, {
      displayName: textOf(body, 'clientDisplayName', 200),
      description: optionalText(body, 'clientDescription', 1000),
    })
    return { ...clientJson(client), clientSecret: secret }
  })

  app.get('/client/:id', async (request) => clientJson(await clients.get(request.caller, paramsOf(request).id)))

  app.delete('/client/:id', async (request) => {
    await clients.delete(request.caller, paramsOf(request).id)
    return { status: 'Success' }
  })

  // The user who asks; for a client, the one to whom it belongs.
  app.get('/user', async (request) => userJson(await users.me(request.caller)))
  // It makes the user who asks; with us there is one by the time it can ask.
  app.post('/user', async (request) => userJson(await users.me(request.caller)))
}
