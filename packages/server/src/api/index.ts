/** All routes, and the document that describes them. */
import { silentLogger } from '@millrace/sdk'
import { limits } from '../http/limits.ts'
import { Metrics } from '../http/metrics.ts'
import { createHttp, type Http } from '../http/server.ts'
import { Tokens } from '../http/tokens.ts'
import type { Logins } from '../streams/logins.ts'
import type { StreamService } from '../streams/stream-service.ts'
import type { SubscriptionService } from '../subscriptions/subscription-service.ts'
import { addClients, addUsers } from './access/client-routes.ts'
import { addSharing } from './access/sharing-routes.ts'
import type { Api } from './api.ts'
import { addAuth } from './auth/routes.ts'
import { Followers } from './follow/followers.ts'
import { addFollowing } from './follow/routes.ts'
import { Tails } from './follow/tails.ts'
import { addGroups } from './groups/routes.ts'
import { addHealth } from './health/routes.ts'
import { addParts } from './parts/routes.ts'
import { addPublishing } from './records/publish-routes.ts'
import { addReading } from './records/read-routes.ts'
import { addStreams } from './streams/routes.ts'
import { addSubscriptions } from './subscriptions/routes.ts'

/** Adds every route of /api/v1, and what stands beside it. */
export const addApi = (app: Http, api: Api, isReady: () => Promise<void>): void => {
  for (const add of [
    addAuth,
    addStreams,
    addPublishing,
    addReading,
    addFollowing,
    addGroups,
    addSharing,
    addClients,
    addUsers,
    addParts,
    addSubscriptions,
    addHealth(isReady),
  ])
    add(app, api)
}

/** The OpenAPI document, made without anything behind the routes. */
export const openApiDocument = async (version: string): Promise<object> => {
  const absent: unknown = new Proxy(
    Object.assign(() => {}, {}),
    { get: () => absent, apply: () => absent },
  )
  const metrics = new Metrics()
  const tokens = new Tokens({ logins: absent as Logins, now: () => new Date(0), newId: () => '' })
  const service = absent as StreamService
  const shared = { tokens, limits, metrics, log: silentLogger, ticks: () => 0 }
  const app = await createHttp({ ...shared, version, newId: () => '' })
  const tails = new Tails(service, limits.followerBytes)
  addApi(
    app,
    {
      ...shared,
      service,
      subscriptions: absent as SubscriptionService,
      logins: absent as Logins,
      tails,
      followers: new Followers(),
      closing: new AbortController().signal,
    },
    async () => {},
  )
  await app.ready()
  const document = app.swagger()
  await app.close()
  return document
}
