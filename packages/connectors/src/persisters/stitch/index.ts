import {
  bytes,
  choice,
  definePersister,
  json,
  MillraceError,
  type Persister,
  type PersisterContext,
  text,
  whole,
} from '@millrace/sdk'
import { httpClient } from '@millrace/sdk/http'
import { Sequence } from './sequence.ts'
import { StitchSession } from './session.ts'

const config = {
  token: text({
    doc: 'The access token of the Import API integration',
    secret: true,
    env: ['STITCH_TOKEN'],
    aliases: ['stitch_token'],
  }),
  clientId: text({
    doc: 'The client that the token belongs to: it is checked to be a number, the token alone says who loads',
    optional: true,
    env: ['STITCH_CLIENT_ID'],
    aliases: ['client_id'],
  }),
  url: text({
    doc: 'Where the Import API is; Europe: https://api.eu-central-1.stitchdata.com. A path of its own is kept',
    default: 'https://api.stitchdata.com',
    env: ['STITCH_URL'],
    aliases: ['stitch_url', 'small_batch_url', 'big_batch_url'],
  }),
  batchRecords: whole({ doc: 'Records in one request, at most', default: 20_000, min: 1, max: 20_000 }),
  batchBytes: bytes({
    doc: 'Bytes of one request, at most, unless one record is larger; the service takes 20 MB',
    default: 4_000_000,
    min: 10_000,
    max: 20_000_000,
  }),
  maxConcurrent: whole({
    doc: 'Requests under way at once; the sequence of its records says which of two comes last',
    default: 2,
    min: 1,
    max: 50,
    aliases: ['turbo_boost_factor'],
  }),
  compression: choice(['none', 'gzip'], {
    doc: 'How bodies are packed: gzip helps on a slow line, and costs more than it saves on a fast one',
    default: 'none',
  }),
  batch_size_preferences: json({
    doc: 'Accepted of a configuration of the Stitch target, where it chooses between two addresses that are the same',
    default: {},
  }),
}
type Context = PersisterContext<typeof config>

/** The path of batches behind a base URL; a URL that names it already, as `stitch_url` may, is taken as it is. */
const placeOf = (url: string): { readonly baseUrl: string; readonly path: string } => {
  const parsed = URL.parse(url)
  if (parsed === null)
    throw new MillraceError('CONFIG_INVALID', {
      what: 'persister stitch',
      problems: ['url is not a URL'],
      fix: 'Write it as https://api.stitchdata.com.',
    })
  const path = parsed.pathname.replace(/\/+$/, '').replace(/\/v2\/import\/(push|batch)$/, '')
  return { baseUrl: parsed.origin, path: `${path}/v2/import/batch` }
}

/** What only the executable `persist-stitch` asks for. */
export interface StitchOutput {
  /** Makes every body and sends none. */
  readonly dryRun?: boolean
  /** Told of each body. */
  readonly onBody?: (body: Buffer) => void
}

/** The persister; with what `persist-stitch` asks for beside. */
export const stitchPersister = (output: StitchOutput = {}): Persister =>
  definePersister({
    name: 'stitch',
    doc: 'Loads tables through the Stitch Import API.',
    config,
    reference: { page: 'stitch.md' },
    supports: { upsert: true, exactNumbers: true, versions: true, opensRecords: false },
    // What lies between two states that are printed; requests are cut by number and bytes on their own.
    flushes: { records: 20_000, bytes: 4_000_000, ms: 60_000 },
    open: async (ctx) => {
      const { baseUrl, path } = placeOf(ctx.config.url)
      checkClient(ctx.config.clientId)
      return new StitchSession({
        client: output.dryRun === true ? undefined : clientOf(ctx, baseUrl),
        path,
        batchRecords: ctx.config.batchRecords,
        batchBytes: ctx.config.batchBytes,
        maxConcurrent: ctx.config.maxConcurrent,
        gzip: ctx.config.compression === 'gzip',
        sequence: new Sequence(() => Date.now()),
        log: ctx.log,
        onBody: output.onBody,
      })
    },
    check: async (ctx) => {
      const { baseUrl, path } = placeOf(ctx.config.url)
      checkClient(ctx.config.clientId)
      const client = clientOf(ctx, baseUrl)
      try {
        await client.get(path.replace(/batch$/, 'status'))
        // An empty list stores nothing; a token that is not good is told all the same.
        await client.request({
          method: 'POST',
          path: path.replace(/batch$/, 'validate'),
          body: '[]',
          accept: [400, 422],
          headers: { 'content-type': 'application/json' },
        })
      } finally {
        client.close()
      }
    },
    plan: async ({ config: { url } }, schemas) =>
      schemas.map(
        ({ stream, keyProperties }) =>
          `${placeOf(url).baseUrl}: table ${stream}, ${keyProperties.length === 0 ? 'appended' : `by ${keyProperties.join(', ')}`}`,
      ),
  })

const clientOf = (ctx: Context, baseUrl: string) =>
  httpClient({
    baseUrl,
    side: 'destination',
    what: 'Stitch',
    auth: { style: 'bearer', token: ctx.config.token },
    maxConcurrent: ctx.config.maxConcurrent,
    signal: ctx.signal,
    log: ctx.log,
  })

const checkClient = (clientId: string | undefined): void => {
  if (clientId !== undefined && !/^[0-9]+$/.test(clientId))
    throw new MillraceError('CONFIG_INVALID', {
      what: 'persister stitch',
      problems: ['clientId is not a number'],
      fix: 'It is the number in the address of your account.',
    })
}

export const stitch: Persister = stitchPersister()
