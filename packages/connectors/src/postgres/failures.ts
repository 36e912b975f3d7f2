/**
 * What PostgreSQL and the way to it say, in our words. By SQLSTATE
 * (https://www.postgresql.org/docs/current/errcodes-appendix.html) and system code, never by a message in one language.
 */
import { isMillraceError, MillraceError, systemCode } from '@millrace/sdk'

/** Which end of a run it is. */
export type Side = 'SOURCE' | 'DESTINATION'

/** What is known beside the error. */
export interface FailureContext {
  /** What was reached for: no user, no password. */
  readonly what: string
  readonly side: Side
  /** What a fix should say where a privilege is missing. */
  readonly grants?: string
}

type Kind = 'REFUSED' | 'UNAVAILABLE' | 'FULL' | 'BUSY'

interface Told {
  readonly kind: Kind
  readonly why: string
  readonly fix?: string
}

const NETWORK: Readonly<Record<string, readonly [string, string]>> = {
  ECONNREFUSED: ['nothing listens there', 'Check host and port, and that the server runs and listens on that address.'],
  ENOTFOUND: ['there is no such host', 'Check the spelling of the host, and the DNS of this machine.'],
  EAI_AGAIN: ['the name of the host cannot be looked up now', 'Check the DNS of this machine and try again.'],
  EHOSTUNREACH: ['the host cannot be reached', 'Check the network, and firewalls on the way.'],
  ENETUNREACH: ['the network of the host cannot be reached', 'Check the network, and firewalls on the way.'],
  ETIMEDOUT: ['it does not answer', 'Check the host, and firewalls on the way.'],
  ECONNRESET: ['the connection was cut', 'Try again; nothing after the last state was kept.'],
  EPIPE: ['the connection was cut', 'Try again; nothing after the last state was kept.'],
  ENOENT: ['there is no such socket', 'Check that the server runs, and the folder of its socket.'],
}

const TLS: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate comes from an authority that this machine does not know',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate comes from an authority that this machine does not know',
  UNABLE_TO_GET_ISSUER_CERT: 'its certificate comes from an authority that this machine does not know',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate comes from an authority that this machine does not know',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host',
}

interface ServerError {
  readonly code?: string
  readonly where?: string
  readonly table?: string
  readonly column?: string
}

/** Puts an error of the client library, the server or the network into our shape. Never shows a value of a record. */
export const translatePostgres = (e: unknown, context: FailureContext): MillraceError => {
  if (isMillraceError(e)) return e
  const { what, side } = context
  const { kind, why, fix } = toldOf(e, context)
  const facts = { what, why, ...(fix === undefined ? {} : { fix }) }
  if (side === 'SOURCE')
    return new MillraceError(kind === 'REFUSED' ? 'SOURCE_REFUSED' : 'SOURCE_UNAVAILABLE', facts, { cause: e })
  return new MillraceError(`DESTINATION_${kind}`, facts, { cause: e })
}

const toldOf = (e: unknown, context: FailureContext): Told => {
  const state = (e as ServerError).code ?? ''
  const message = (e instanceof Error ? e.message : String(e)).split('\n')[0]?.slice(0, 300) ?? ''
  const system = systemCode(e) ?? systemCode((e as { errors?: readonly unknown[] }).errors?.[0])
  const network = system === undefined ? undefined : NETWORK[system]
  if (network !== undefined) return { kind: 'UNAVAILABLE', why: network[0], fix: network[1] }
  const tls = TLS[state]
  if (tls !== undefined)
    return {
      kind: 'REFUSED',
      why: tls,
      fix: 'Give the certificate of the authority with sslrootcert, or check less: sslmode require encrypts without checking.',
    }
  if (/does not support SSL/.test(message))
    return {
      kind: 'REFUSED',
      why: 'the server does not speak TLS',
      fix: 'Switch TLS on at the server, or set sslmode to prefer or disable.',
    }
  if (/^[0-9A-Z]{5}$/.test(state)) return ofServer(state, message, e as ServerError, context)
  if (/password must be a string|no password supplied/i.test(message))
    return {
      kind: 'REFUSED',
      why: 'the server asks for a password',
      fix: 'Give password, PGPASSWORD or a line in ~/.pgpass.',
    }
  if (/timeout|timed out/i.test(message))
    return { kind: 'UNAVAILABLE', why: 'it does not answer', fix: 'Check the host, and firewalls on the way.' }
  if (/terminated|not queryable|connection ended|closed/i.test(message))
    return {
      kind: 'UNAVAILABLE',
      why: 'the connection was cut',
      fix: 'Try again; nothing after the last state was kept.',
    }
  return { kind: 'UNAVAILABLE', why: message }
}

const GONE: readonly string[] = ['42P01', '42703', '3F000', '42704']

/** A standby ends statements that hold up what comes from its primary. */
const ofStandby = (why: string): Told => ({
  kind: 'BUSY',
  why,
  fix: 'Run again. On the standby, raise max_standby_streaming_delay or set hot_standby_feedback = on; or read from the primary server.',
})

const ofServer = (state: string, message: string, e: ServerError, context: FailureContext): Told => {
  const group = state.slice(0, 2)
  switch (state) {
    case '28P01':
      return { kind: 'REFUSED', why: 'user or password were not accepted', fix: 'Check user and password.' }
    case '28000':
      return {
        kind: 'REFUSED',
        why: message,
        fix: 'Check the user, the database and pg_hba.conf of the server; it may ask for TLS (sslmode).',
      }
    case '3D000':
      return { kind: 'REFUSED', why: 'there is no such database', fix: 'Check its name, or make it: CREATE DATABASE.' }
    case '42501':
      return {
        kind: 'REFUSED',
        why: message,
        fix: context.grants ?? 'Grant the user what the reference page of this connector lists.',
      }
    case '53100':
      return { kind: 'FULL', why: message }
    case '53300':
      return {
        kind: 'UNAVAILABLE',
        why: 'it has as many connections as it may have',
        fix: 'Try again later, raise max_connections, or use a pooler.',
      }
    case '25006':
      return {
        kind: 'REFUSED',
        why: 'it is read only (a standby, or default_transaction_read_only)',
        fix: 'Connect to the primary server, or let the user write.',
      }
    // Only who writes without our lock can bring a key between our look and our row.
    case '23505':
    case '40P01':
    case '40001':
    case '55P03':
      // Who only reads waits for nobody, and is in nobody's way but that of a standby's primary.
      return context.side === 'SOURCE' ? ofStandby(message) : { kind: 'BUSY', why: message }
    case '57014':
      return {
        kind: 'UNAVAILABLE',
        why: 'a statement was cancelled (statement_timeout, or by somebody)',
        fix: 'Raise statement_timeout for this user and run again: it goes on from the last state.',
      }
    case '57P03':
      return { kind: 'UNAVAILABLE', why: 'it is starting or stopping', fix: 'Try again in a moment.' }
    case '57P05':
    case '25P03':
      return {
        kind: 'UNAVAILABLE',
        why: 'the server closed a connection that had waited too long',
        fix: 'Raise idle_in_transaction_session_timeout for this user, or flush more often (flush-seconds).',
      }
    default:
  }
  if (GONE.includes(state))
    return {
      kind: 'UNAVAILABLE',
      why: `${message}: somebody dropped or renamed it during the run`,
      fix:
        context.side === 'SOURCE'
          ? 'Run again: it reads what is there now. Leave it out of tables and the catalog where it is gone for good.'
          : 'Run again: it is made anew. With --full-refresh it gets its earlier rows back.',
    }
  if (group === '08' || state.startsWith('57P'))
    return {
      kind: 'UNAVAILABLE',
      why: 'the server ended the connection',
      fix: 'Run again: it goes on from the last state; nothing after that was kept.',
    }
  if (group === '53' || group === '58') return { kind: 'UNAVAILABLE', why: message }
  // Their messages quote the value.
  if (group === '22') {
    const column = e.column ?? /column ([^:]+)/.exec(e.where ?? '')?.[1]
    return {
      kind: 'REFUSED',
      why: `a value is not accepted (SQLSTATE ${state}${column === undefined ? '' : `, column ${column}`})`,
    }
  }
  return { kind: 'REFUSED', why: message }
}
