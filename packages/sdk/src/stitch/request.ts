/**
 * What the Stitch Import API says of a request apart from its messages: path, method, authorisation, kind and size of its body.
 */
import { type Refusal, readBatch, readPush, type StitchRules, type Verdict } from './rules.ts'

/** The endpoints that take messages. */
export const importKinds = ['batch', 'push', 'validate'] as const
export type ImportKind = (typeof importKinds)[number]

/** Bytes of a body, at most. */
export const maxImportBytes: number = 20 * 1024 * 1024
/** Messages of a request, at most. */
export const maxImportMessages = 20_000

const json = 'application/json'
const transit = 'application/transit+json'

/** What a request says of itself before its body is read. */
export interface ImportHead {
  readonly kind: ImportKind
  readonly method: string
  readonly contentType: string | undefined
}

const mediaType = (contentType: string | undefined): string =>
  (contentType ?? '').split(';')[0]?.trim().toLowerCase() ?? ''

/** The answer to a request of another method; undefined for the right one. */
export const refuseMethod = ({ method }: ImportHead): Refusal | undefined =>
  method === 'POST' ? undefined : { status: 405, body: 'Method not allowed.' }

/** The answer to a body of a kind that the endpoint does not take; undefined for one that it takes. */
export const refuseMediaType = ({ kind, contentType }: ImportHead): Refusal | undefined => {
  const type = mediaType(contentType)
  if (type === json || (type === transit && kind !== 'batch')) return undefined
  return kind === 'batch'
    ? { status: 415, body: `Content-Type must be ${json}` }
    : {
        status: 415,
        body: { status: 'ERROR', message: `Unsupported content-type ${type}. Please send ${json} or ${transit}` },
      }
}

/** The answer to whoever shows no token, or none that is good. */
export const notAuthorized: Refusal = { status: 401, body: { message: 'Not Authorized' } }

/** The answer to a body that is too large. */
export const tooLarge = (bytes: number): Refusal => ({
  status: 413,
  body: { status: 'ERROR', message: `Request rejected: request size (${bytes}s bytes) exceeds the maximum` },
})

/** The messages of a body, or why it is refused. */
export const readImport = (text: string, { kind, contentType }: ImportHead, rules: StitchRules): Verdict =>
  kind === 'batch' ? readBatch(text, rules) : readPush(text, mediaType(contentType) === transit, rules)

/** The answer to a request whose messages are taken. */
export const importAccepted = (
  kind: ImportKind,
): { readonly status: number; readonly body: { readonly status: string; readonly message: string } } =>
  kind === 'validate'
    ? { status: 200, body: { status: 'OK', message: 'Batch is valid!' } }
    : { status: 201, body: { status: 'OK', message: 'Batch Accepted!' } }

/** What `GET /v2/import/status` answers. */
export const importStatus = (version: string): Readonly<Record<string, string | null>> => ({
  name: 'pipeline.gate',
  version,
  revision: version,
  status: 'OK',
  reason: null,
})
