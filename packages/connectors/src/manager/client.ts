/** How the connectors of streams reach a manager: by its URL and the credentials of a client, or by the note that one on this machine leaves. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type ConfigOf, type Field, isObject, type Json, type Logger, MillraceError, text, whole } from '@millrace/sdk'
import { type HttpAuth, type HttpClient, httpClient } from '@millrace/sdk/http'

export const managerSettings: {
  readonly stream: Field<string>
  readonly url: Field<string | undefined>
  readonly clientId: Field<string | undefined>
  readonly clientSecret: Field<string | undefined>
  readonly timeoutSeconds: Field<number>
  readonly tries: Field<number>
} = {
  stream: text({ doc: 'The name of the stream, or its id' }),
  url: text({
    doc: 'Where the manager is. Left out: the one that `millrace up` runs in this project folder',
    env: ['MILLRACE_URL'],
    example: 'https://streams.example.com',
    optional: true,
  }),
  clientId: text({
    doc: 'The id of the client that was granted the stream',
    env: ['MILLRACE_CLIENT_ID'],
    optional: true,
  }),
  clientSecret: text({ doc: 'Its secret', env: ['MILLRACE_CLIENT_SECRET'], secret: true, optional: true }),
  timeoutSeconds: whole({ doc: 'How long the manager may be silent', default: 60, min: 1 }),
  tries: whole({ doc: 'Tries of a request that fails for a reason that may pass', default: 8, min: 1, max: 100 }),
}
export type ManagerSettings = ConfigOf<typeof managerSettings>

/** The largest record that a stream takes is 64 MiB, and as a line of JSON it may be somewhat more. */
const maxResponseBytes = 128 * 1024 * 1024

/** Records that are messages of the format, one a record: what the `stream` persister makes, and the streamer hands on. */
export const messagesType = 'application/vnd.millrace.messages+json'

interface Around {
  readonly side: 'source' | 'destination'
  readonly scope: string
  readonly signal: AbortSignal
  readonly log: Logger
}

/** Throws CONFIG_INVALID where it is not known where the manager is, or as whom to ask. */
export const managerClient = (config: ManagerSettings, around: Around): HttpClient => {
  return httpClient({
    ...placeOf(config, around),
    side: around.side,
    what: 'the manager',
    signal: around.signal,
    log: around.log,
    maxResponseBytes,
    retry: { attempts: config.tries },
    timeouts: { headersMs: config.timeoutSeconds * 1000, idleMs: config.timeoutSeconds * 1000 },
  })
}

const placeOf = (
  { url, clientId, clientSecret }: ManagerSettings,
  { side, scope }: Around,
): { readonly baseUrl: string; readonly auth: HttpAuth; readonly certificate?: string | undefined } => {
  const what = `${side === 'source' ? 'streamer' : 'persister'} stream`
  if (url !== undefined) {
    const missing = [
      ...(clientId === undefined ? ['clientId'] : []),
      ...(clientSecret === undefined ? ['clientSecret'] : []),
    ]
    if (missing.length > 0)
      throw new MillraceError('CONFIG_INVALID', {
        what,
        problems: missing.map((name) => `${name} is missing`),
        fix: '`millrace clients create` makes a client and shows its secret once.',
      })
    return {
      baseUrl: url.replace(/\/+$/, ''),
      auth: {
        style: 'client-credentials',
        tokenUrl: '/api/v1/oauth/token',
        clientId: clientId ?? '',
        clientSecret: clientSecret ?? '',
        scope,
      },
    }
  }
  const note = findNote()
  if (note === undefined)
    throw new MillraceError('CONFIG_INVALID', {
      what,
      problems: ['url is missing, and no manager runs in this project folder'],
      fix: 'Start one with `millrace up`, or say url, clientId and clientSecret.',
    })
  return { baseUrl: note.url, auth: { style: 'bearer', token: note.token }, certificate: note.certificate }
}

/** The note of the manager whose project folder this is, or is inside of. */
const findNote = ():
  | { readonly url: string; readonly token: string; readonly certificate: string | undefined }
  | undefined => {
  for (let dir = resolve('.'); ; dir = dirname(dir)) {
    const file = join(dir, '.millrace/manager.json')
    if (existsSync(file))
      try {
        const note: Json = JSON.parse(readFileSync(file, 'utf8')) as Json
        if (isObject(note) && typeof note['url'] === 'string' && typeof note['token'] === 'string') {
          const { url, token, certificate } = note
          return { url, token, certificate: typeof certificate === 'string' ? certificate : undefined }
        }
      } catch {
        // Half written, or not ours to read: as if there were none.
      }
    if (dirname(dir) === dir) return undefined
  }
}

/** What a manager says of a stream. */
export interface StreamFacts {
  readonly id: string
  readonly name: string
  readonly contentType: string
}

export const streamPath = (stream: string): string => `/api/v1/streams/${encodeURIComponent(stream)}`

/** Undefined where there is no such stream, or nothing of it was granted. */
export const findStream = async (client: HttpClient, stream: string): Promise<StreamFacts | undefined> => {
  const answer = await client.get(streamPath(stream), { accept: [404] })
  return answer.status === 404 ? undefined : factsOf(answer.json(), answer.asked)
}

export const factsOf = (json: Json, asked: string): StreamFacts => {
  if (
    !isObject(json) ||
    typeof json['id'] !== 'string' ||
    typeof json['name'] !== 'string' ||
    typeof json['contentType'] !== 'string'
  )
    throw new MillraceError('SOURCE_MALFORMED', {
      what: asked,
      why: 'the answer is not what a manager says of a stream',
    })
  return { id: json['id'], name: json['name'], contentType: json['contentType'] }
}

/** Makes a stream for messages. Where another made it meanwhile, that one. */
export const createStream = async (client: HttpClient, settings: ManagerSettings): Promise<StreamFacts> => {
  const answer = await client.request({
    method: 'POST',
    path: '/api/v1/streams',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: settings.stream, contentType: messagesType }),
    accept: [409],
  })
  if (answer.status !== 409) return factsOf(answer.json(), answer.asked)
  const found = await findStream(client, settings.stream)
  if (found === undefined)
    throw new MillraceError('DESTINATION_REFUSED', {
      what: `stream ${settings.stream}`,
      why: 'somebody else has a stream of this name, and granted nothing of it',
      fix: 'Have its owner grant the right to write, or choose another name.',
    })
  return found
}

/** What to say of a stream that is not there. */
export const unknownStream = (stream: string): MillraceError => new MillraceError('STREAM_UNKNOWN', { stream })
