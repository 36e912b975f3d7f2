/** What a store or the way to it said, in our words. Never the body of an answer: it may quote what was sent. */
import { isMillraceError, MillraceError, systemCode } from '@millrace/sdk'

/** Whether a fault is one of the source or of the destination. */
export type Side = 'SOURCE' | 'DESTINATION'

export interface FaultContext {
  readonly side: Side
  /** `s3://bucket/key`. */
  readonly what: string
  readonly bucket: string
  /** Address of the service, as a user would know it. */
  readonly endpoint: string
}

type Kind = 'REFUSED' | 'UNAVAILABLE' | 'FULL'

interface Told {
  readonly kind: Kind
  readonly why: string
  readonly fix?: string
}

const keysFix = 'Correct the access key and its secret (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY).'

/** What the service's own codes mean (S3 API reference, "List of error codes"; others are those of services like it). */
const codes: Readonly<Record<string, (c: FaultContext) => Told>> = {
  NoSuchBucket: (c) => ({
    kind: 'REFUSED',
    why: `there is no bucket ${c.bucket}`,
    fix: 'Make the bucket, or correct bucket, region and endpoint.',
  }),
  AccessDenied: (c) => ({
    kind: 'REFUSED',
    why: 'access is denied',
    fix:
      c.side === 'DESTINATION'
        ? `Allow this key s3:PutObject and s3:AbortMultipartUpload in bucket ${c.bucket}, and s3:GetObject for verify.`
        : `Allow this key s3:ListBucket and s3:GetObject in bucket ${c.bucket}.`,
  }),
  InvalidAccessKeyId: () => ({ kind: 'REFUSED', why: 'the service does not know the access key', fix: keysFix }),
  SignatureDoesNotMatch: () => ({
    kind: 'REFUSED',
    why: 'the service does not accept the signature: the secret is not that of the access key',
    fix: keysFix,
  }),
  ExpiredToken: () => ({
    kind: 'REFUSED',
    why: 'the session token has expired',
    fix: 'Get a new temporary key and token (AWS_SESSION_TOKEN).',
  }),
  InvalidToken: () => ({
    kind: 'REFUSED',
    why: 'the session token is not valid',
    fix: 'Give the token that belongs to the access key (AWS_SESSION_TOKEN), or none with a lasting key.',
  }),
  RequestTimeTooSkewed: () => ({
    kind: 'REFUSED',
    why: "this machine's clock is too far from that of the service",
    fix: 'Set the clock of this machine.',
  }),
  PermanentRedirect: (c) => ({
    kind: 'REFUSED',
    why: `bucket ${c.bucket} is in another region`,
    fix: 'Set region to that of the bucket.',
  }),
  InvalidBucketName: (c) => ({
    kind: 'REFUSED',
    why: `${c.bucket} is no name that a bucket can have`,
    fix: 'Correct bucket.',
  }),
  CredentialsProviderError: () => ({
    kind: 'REFUSED',
    why: 'no access key was given and the AWS SDK found none',
    fix: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile.',
  }),
  NoSuchKey: () => ({ kind: 'REFUSED', why: 'the object is not there' }),
  PreconditionFailed: (c) =>
    c.side === 'SOURCE'
      ? { kind: 'UNAVAILABLE', why: 'the object was replaced while it was read', fix: 'Run again: it is read anew.' }
      : { kind: 'UNAVAILABLE', why: 'an object of that name is there already' },
  QuotaExceeded: () => ({ kind: 'FULL', why: 'the quota is used up' }),
  EntityTooLarge: () => ({ kind: 'REFUSED', why: 'the service takes no object so large' }),
}

const alike: Readonly<Record<string, string>> = {
  AllAccessDisabled: 'AccessDenied',
  AccountProblem: 'AccessDenied',
  Forbidden: 'AccessDenied',
  UnauthorizedAccess: 'AccessDenied',
  TokenRefreshRequired: 'ExpiredToken',
  ExpiredTokenException: 'ExpiredToken',
  AuthorizationHeaderMalformed: 'PermanentRedirect',
  IllegalLocationConstraintException: 'PermanentRedirect',
  XMinioStorageFull: 'QuotaExceeded',
  InsufficientStorage: 'QuotaExceeded',
  XAmzContentSHA256Mismatch: 'SignatureDoesNotMatch',
}

const tls =
  /^(CERT_|ERR_TLS|ERR_SSL|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|HOSTNAME_MISMATCH|EPROTO)/

/** The fault as an error of ours; ours pass through. */
export const storeFault = (e: unknown, context: FaultContext): MillraceError => {
  if (isMillraceError(e)) return e
  const { kind, why, fix } = told(e, context)
  const { what, side } = context
  const details = { what, why, ...(fix === undefined ? {} : { fix }) }
  if (kind === 'FULL' && side === 'DESTINATION') return new MillraceError('DESTINATION_FULL', details, { cause: e })
  return new MillraceError(`${side}_${kind === 'REFUSED' ? 'REFUSED' : 'UNAVAILABLE'}`, details, { cause: e })
}

const told = (e: unknown, context: FaultContext): Told => {
  const system = codeOf(e)
  const name = nameOf(e)
  const status = statusOf(e)
  if (system !== undefined && tls.test(system))
    return {
      kind: 'REFUSED',
      why: `no safe connection to ${context.endpoint} (${system})`,
      fix: 'Correct http or https in endpoint; a certificate of your own authority is trusted through NODE_EXTRA_CA_CERTS.',
    }
  const known = codes[alike[name] ?? name]
  if (known !== undefined) return known(context)
  if (status === undefined)
    return {
      kind: 'UNAVAILABLE',
      why: `${context.endpoint} cannot be reached (${system ?? name})`,
      fix: 'Check endpoint and region, and that this machine gets there.',
    }
  if (status === 401 || status === 403) return (codes['AccessDenied'] as (c: FaultContext) => Told)(context)
  if (status === 404) return { kind: 'REFUSED', why: 'it is not there', fix: 'Correct bucket, path and endpoint.' }
  if (status === 507) return { kind: 'FULL', why: 'the store is full' }
  if (status >= 500 || status === 429 || status === 408)
    return { kind: 'UNAVAILABLE', why: `the service answered ${status} (${name}), also when it was asked again` }
  return { kind: 'REFUSED', why: `the service answered ${status} (${name})` }
}

/** The name the service gave its error. */
export const nameOf = (e: unknown): string => {
  const name = (e as { readonly name?: unknown } | null)?.name
  return typeof name === 'string' ? name : 'unknown'
}

/** The HTTP status of the service's answer; undefined where there was none. */
export const statusOf = (e: unknown): number | undefined =>
  (e as { readonly $metadata?: { readonly httpStatusCode?: number } } | null)?.$metadata?.httpStatusCode

/** The system's code: of several addresses that were tried, that of the first. */
const codeOf = (e: unknown): string | undefined => {
  const own = systemCode(e)
  if (own !== undefined) return own
  if (e instanceof AggregateError) return e.errors.map(systemCode).find((c) => c !== undefined)
  const { cause } = (e ?? {}) as { readonly cause?: unknown }
  return cause === undefined ? undefined : codeOf(cause)
}
