/** What the streamer and the persister `streamduo` share: how a stream of StreamDuo is reached. */
import { type Field, type Logger, MillraceError, text } from '@millrace/sdk'
import { type HttpClient, httpClient } from '@millrace/sdk/http'

export const streamSettings: {
  readonly streamId: Field<string>
  readonly clientId: Field<string>
  readonly clientSecret: Field<string>
  readonly url: Field<string>
  readonly tokenUrl: Field<string | undefined>
} = {
  streamId: text({ doc: 'The stream', env: ['STREAMDUO_STREAM_ID'], aliases: ['stream_id'] }),
  clientId: text({ doc: 'The client that was granted it', env: ['AUTH_CLIENT_ID'], aliases: ['client_id'] }),
  clientSecret: text({
    doc: 'Its secret',
    secret: true,
    env: ['AUTH_CLIENT_SECRET'],
    aliases: ['client_secret'],
  }),
  url: text({
    doc: 'The base URL of StreamDuo: that of a manager, and /streamduo',
    default: 'http://127.0.0.1:4480/streamduo',
    env: ['STREAMDUO_SDK_URL'],
  }),
  tokenUrl: text({ doc: 'Where tokens are given; left out: oauth2/token below the base URL', optional: true }),
}

interface StreamConfig {
  readonly streamId: string
  readonly clientId: string
  readonly clientSecret: string
  readonly url: string
  readonly tokenUrl?: string | undefined
}

/** The scope of records. */
const scope = 'https://api.streamduo.com/read:records'

export interface StreamClient {
  readonly client: HttpClient
  /** The path of the stream, `stream/ID`. */
  readonly path: string
}

/** Throws CONFIG_INVALID where the URL is none. */
export const streamClient = (
  config: StreamConfig,
  ctx: {
    readonly side: 'source' | 'destination'
    readonly signal: AbortSignal
    readonly log: Logger
    readonly maxConcurrent?: number | undefined
  },
): StreamClient => {
  const { streamId, clientId, clientSecret, url, tokenUrl } = config
  const parsed = URL.parse(url)
  if (parsed === null)
    throw new MillraceError('CONFIG_INVALID', {
      what: `${ctx.side === 'source' ? 'streamer' : 'persister'} streamduo`,
      problems: ['url is not a URL'],
      fix: 'Write it as https://host/streamduo.',
    })
  const base = url.replace(/\/+$/, '')
  const client = httpClient({
    ...ctx,
    maxConcurrent: ctx.maxConcurrent ?? 4,
    baseUrl: parsed.origin,
    what: 'StreamDuo',
    auth: {
      style: 'client-credentials',
      sendAs: 'body',
      tokenUrl: tokenUrl ?? `${base}/oauth2/token`,
      clientId,
      clientSecret,
      scope,
    },
  })
  const path = new URL(base).pathname.replace(/^\/|\/$/g, '')
  return { client, path: `${path === '' ? '' : `${path}/`}stream/${encodeURIComponent(streamId)}` }
}
