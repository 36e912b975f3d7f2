/** Failures of HTTP, told as errors of the table. Nothing here prints a query, a header or a body. */
import { isMillraceError, MillraceError, systemCode } from '../errors/error.ts'
import type { ErrorCode } from '../errors/table.ts'

export type Side = 'source' | 'destination'

/** `GET https://host/path`: the query may hold secrets. */
export const askedOf = (method: string, url: URL): string => `${method} ${url.origin}${url.pathname}`

export type FaultKind = 'unavailable' | 'limited' | 'refused' | 'malformed'

const codes: Readonly<Record<Side, Readonly<Record<FaultKind, ErrorCode>>>> = {
  source: {
    unavailable: 'SOURCE_UNAVAILABLE',
    limited: 'SOURCE_LIMITED',
    refused: 'SOURCE_REFUSED',
    malformed: 'SOURCE_MALFORMED',
  },
  destination: {
    unavailable: 'DESTINATION_UNAVAILABLE',
    limited: 'DESTINATION_LIMITED',
    refused: 'DESTINATION_REFUSED',
    malformed: 'DESTINATION_REFUSED',
  },
}

export interface Fault {
  readonly side: Side
  readonly kind: FaultKind
  /** Subject of the sentence: `GET https://host/path`, or a name. */
  readonly what: string
  readonly why: string
  readonly fix?: string | undefined
  readonly status?: number | undefined
  readonly cause?: unknown
}

export const httpError = (f: Fault): MillraceError =>
  new MillraceError(
    codes[f.side][f.kind],
    {
      what: f.what,
      // The row of SOURCE_MALFORMED has a place and a reason only.
      why: f.side === 'source' && f.kind === 'malformed' ? `${f.what}: ${f.why}` : f.why,
      ...(f.fix === undefined ? {} : { fix: f.fix }),
      ...(f.status === undefined ? {} : { status: f.status }),
    },
    f.cause === undefined ? undefined : { cause: f.cause },
  )

/** The HTTP status behind an error of the kit, or undefined. */
export const statusOf = (e: unknown): number | undefined => {
  const status = isMillraceError(e) ? e.details['status'] : undefined
  return typeof status === 'number' ? status : undefined
}

/** An answer of 4xx, or of 3xx that leads nowhere. */
export const refusedStatus = (side: Side, what: string, status: number): MillraceError => {
  const told: Record<number, readonly [string, string]> = {
    401: [
      'the credentials are not accepted (401)',
      'Give a valid token or password; it may have expired or been revoked.',
    ],
    403: ['access is not allowed (403)', 'Give the credentials the right to it, or use others.'],
    404: [
      'it is not there (404)',
      'Check the base URL and the path; some servers also say this where access is missing.',
    ],
    407: ['the proxy wants credentials (407)', 'Put user and password of the proxy into HTTPS_PROXY.'],
    410: ['it is gone (410)', 'Check the base URL and the path.'],
  }
  const [why, fix] = told[status] ?? [`answered ${status}`, undefined]
  return httpError({ side, kind: 'refused', what, why, fix, status })
}

/** An answer of 5xx, or 408 and 425, after the last try. */
export const unavailableStatus = (side: Side, what: string, status: number, tries: number): MillraceError =>
  httpError({ side, kind: 'unavailable', what, why: `answered ${status}${times(tries)}`, status })

const times = (tries: number): string => (tries > 1 ? ` (tried ${tries} times)` : '')

/** Why no answer came, as a fault of one request. `transient`: a second try may do better. */
export interface NetworkFault {
  readonly why: string
  readonly fix: string | undefined
  readonly transient: boolean
  /** Somebody has to change something: a certificate, a name. */
  readonly refused: boolean
}

/** A timeout or a broken body found by us, told in words. */
export class AnswerBroken extends Error {
  override readonly name: string = 'AnswerBroken'
}

const certificate =
  /^(CERT_|ERR_TLS_CERT|UNABLE_TO_|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED_CERT|ERR_SSL|EPROTO|HOSTNAME_MISMATCH|INVALID_CA)/

const certificateWords: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is signed by an authority that is not known here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is signed by an authority that is not known here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is signed by an authority that is not known here',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host',
  EPROTO: 'it does not speak TLS there, or none that we speak',
}

export const networkFault = (e: unknown): NetworkFault => {
  const code = systemCode(e) ?? ''
  const passes = (why: string, fix?: string): NetworkFault => ({ why, fix, transient: true, refused: false })
  if (e instanceof AnswerBroken) return passes(e.message)
  if (certificate.test(code))
    return {
      why: `${certificateWords[code] ?? 'no secure connection could be made'} (${code})`,
      fix:
        code === 'EPROTO' || code.startsWith('ERR_SSL')
          ? 'Check the URL: http and https, and the port.'
          : 'Have its certificate mended; one of your own authority is trusted with NODE_EXTRA_CA_CERTS=file.pem. Also check the clock of this machine.',
      transient: false,
      refused: true,
    }
  switch (code) {
    case 'ENOTFOUND':
      return {
        why: 'no such host (ENOTFOUND)',
        fix: 'Check the host in the URL, and the DNS of this machine.',
        transient: false,
        refused: false,
      }
    case 'EAI_AGAIN':
      return passes('its name could not be looked up (EAI_AGAIN)', 'Check the DNS of this machine and try again.')
    case 'ECONNREFUSED':
      return passes('nothing listens there (ECONNREFUSED)')
    case 'ECONNRESET':
    case 'EPIPE':
      return passes(`the connection was cut (${code})`)
    case 'ERR_PROXY_TUNNEL':
      return passes('the proxy does not connect to it', 'Check HTTPS_PROXY and NO_PROXY, and what the proxy allows.')
    default:
      return code.startsWith('HPE_')
        ? { why: `it does not speak HTTP there (${code})`, fix: 'Check the URL.', transient: false, refused: true }
        : passes(code === '' ? 'the request failed' : `the request failed (${code})`)
  }
}

/** No answer, after the last try. */
export const networkError = (side: Side, what: string, cause: unknown, tries: number): MillraceError => {
  const fault = networkFault(cause)
  return httpError({
    side,
    kind: fault.refused ? 'refused' : 'unavailable',
    what,
    why: fault.why + times(tries),
    fix: fault.fix,
    cause,
  })
}

/** Too many requests, for longer than we may wait. */
export const limitedError = (side: Side, what: string, status: number, waitMs: number | undefined): MillraceError =>
  httpError({
    side,
    kind: 'limited',
    what,
    why:
      waitMs === undefined
        ? `too many requests (${status})`
        : `too many requests (${status}); the next is allowed in ${Math.ceil(waitMs / 1000)} s`,
    status,
  })
