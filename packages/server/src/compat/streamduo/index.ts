/**
 * The REST surface of StreamDuo, under a base URL of its own, so that programs which use its SDK go on as they are: another base URL,
 * and a client of this manager. What it answers is in docs/reference/streamduo.md.
 */
import type { Http } from '../../http/server.ts'
import { addActors } from './actors.ts'
import { addBatches } from './batches.ts'
import type { AddRoutes, StreamDuo } from './context.ts'
import { addParts } from './parts.ts'
import { addRecords } from './records.ts'
import { addStreams } from './streams.ts'

/** Where it begins. */
export const streamDuoBase = '/streamduo'

const addAll: readonly AddRoutes[] = [addStreams, addActors, addRecords, addBatches, addParts]

/** Adds the surface to the server of a manager. Tokens are asked for at `/streamduo/oauth2/token`, which the API answers. */
export const addStreamDuo = (app: Http, duo: StreamDuo): void => {
  void app.register(
    async (scope) => {
      const routes = scope as unknown as Http
      routes.removeAllContentTypeParsers()
      // Read by each route: the SDK sends a content type also where it sends no body.
      routes.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))
      routes.get(
        '/health',
        { config: { open: true } },
        async (_request, reply) => await reply.type('text/plain').send('OK'),
      )
      for (const add of addAll) add(routes, duo)
    },
    { prefix: streamDuoBase },
  )
}
