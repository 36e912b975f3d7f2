import {
  bytes,
  type ConfigOf,
  choice,
  definePersister,
  MillraceError,
  type Persister,
  type PersisterContext,
  text,
  whole,
} from '@millrace/sdk'
import type { HttpClient } from '@millrace/sdk/http'
import { authSettings, clientFor, patienceSettings } from '../../http/settings.ts'
import { BatchKeys } from './batch-keys.ts'
import { HttpSession, urlFor } from './session.ts'

const config = {
  url: text({
    doc: 'Where batches are sent; {substream} in it is the name of the substream',
    example: 'https://api.example.com/import/{substream}',
  }),
  method: choice(['POST', 'PUT'], { doc: 'How', default: 'POST' }),
  format: choice(['json', 'ndjson', 'envelope'], {
    doc: 'json: an array of records; ndjson: a record a line; envelope: an object with substream, keys and records',
    default: 'json',
  }),
  compression: choice(['none', 'gzip'], { doc: 'How bodies are packed', default: 'none' }),
  batchRecords: whole({ doc: 'Records in one request, at most', default: 1000, min: 1, max: 100_000 }),
  batchBytes: bytes({
    doc: 'Bytes in one request, at most, unless one record is larger',
    default: 1024 * 1024,
    min: 1,
  }),
  idempotencyHeader: text({
    doc: 'The header that a batch is known by when it comes again',
    default: 'Idempotency-Key',
  }),
  keyFile: text({
    doc: 'A file of your own for each pipeline: with it, batches of a run after a crash have the keys that they had before',
    optional: true,
  }),
  ...authSettings,
  ...patienceSettings,
  maxConcurrent: whole({
    doc: 'Batches under way at once; with more than 1 they may arrive in another order',
    default: 1,
    min: 1,
    max: 100,
  }),
}
type Context = PersisterContext<typeof config>

/** Records to an HTTP endpoint, in batches. */
export const http: Persister = definePersister({
  name: 'http',
  doc: 'Sends records to an HTTP endpoint in batches, each with a key that tells it when it comes again.',
  config,
  reference: { page: 'http.md' },
  supports: { upsert: false, exactNumbers: true, versions: false, opensRecords: false },
  open: async (ctx) => {
    const client = clientOf(ctx)
    const c: ConfigOf<typeof config> = ctx.config
    return new HttpSession({ ...c, client, keys: await BatchKeys.open(c.keyFile), keyHeader: c.idempotencyHeader })
  },
  check: async (ctx) => {
    const client = clientOf(ctx)
    try {
      // Nothing is sent: what an endpoint for POST says to HEAD matters less than that it is there and lets us in.
      await client.request({
        method: 'HEAD',
        path: urlFor(ctx.config.url, 'check'),
        accept: [400, 404, 405, 406, 409, 411, 415, 422, 500, 501],
      })
    } finally {
      client.close()
    }
  },
  plan: async (ctx, schemas) =>
    schemas.map(
      (s) => `${ctx.config.method} ${urlFor(ctx.config.url, s.stream).replace(/\?.*$/, '')}: batches of ${s.stream}`,
    ),
})

const clientOf = (ctx: Context): HttpClient => {
  const url = URL.parse(urlFor(ctx.config.url, 'x'))
  if (url === null)
    throw new MillraceError('CONFIG_INVALID', {
      what: 'persister http',
      problems: ['url is not a URL'],
      fix: 'Write it as https://host/path.',
    })
  // User and password are refused by the client, without being shown.
  const baseUrl = url.username === '' && url.password === '' ? url.origin : url.href
  return clientFor(ctx.config, { baseUrl, side: 'destination', signal: ctx.signal, log: ctx.log })
}
