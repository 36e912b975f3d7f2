/** What goes wrong with the log of changes, in our words, with the way out. */
import { isMillraceError, MillraceError } from '@millrace/sdk'
import { type ConnectionTarget, nameOf } from '../../../postgres/settings.ts'
import { failureOf } from '../read.ts'

/** Names that an error of the server may be about. */
export interface LogNames {
  readonly slot: string
  readonly publication: string
}

interface Told {
  readonly why?: string
  readonly fix: string
}

/** What SQLSTATEs mean here, where they mean something else than elsewhere. */
const told = (code: string, message: string, names: LogNames | undefined): Told | undefined => {
  switch (code) {
    case '42501':
      return /publication|table|owner|database/i.test(message)
        ? undefined
        : {
            why: 'the user may not read the log of changes',
            fix: 'Let it: ALTER ROLE … REPLICATION (on Amazon RDS: GRANT rds_replication TO …).',
          }
    case '53400':
      return {
        why: 'all replication slots are in use',
        fix: 'Drop one that nobody reads (SELECT * FROM pg_replication_slots; SELECT pg_drop_replication_slot(…)), or raise max_replication_slots and restart the server. A run needs its own and, while it reads tables for the first time, one more.',
      }
    case '53300':
      return {
        why: 'it has as many readers of its log as it may have',
        fix: 'Raise max_wal_senders and restart the server, or try again later.',
      }
    case '55006':
      return {
        why: `the replication slot ${names?.slot ?? ''} is in use by another process`,
        fix: 'Wait for the other run to end, or give this pipeline a slot of its own (slot).',
      }
    case '42704':
      return names === undefined
        ? undefined
        : {
            fix: `Somebody dropped it: drop the slot as well (SELECT pg_drop_replication_slot('${names.slot}')) and run with --full-refresh, which makes both anew.`,
          }
    default:
      return undefined
  }
}

/** An error of the server, or of the way to it, in our words. */
export const failureOfLog = (e: unknown, target: ConnectionTarget, names?: LogNames): MillraceError => {
  const cause = isMillraceError(e) ? e.cause : e
  const { code, message } = (cause ?? {}) as { readonly code?: string; readonly message?: string }
  const found = code === undefined ? undefined : told(code, message ?? '', names)
  if (found === undefined) return failureOf(e, target)
  return new MillraceError(
    code === '55006' || code === '53300' ? 'SOURCE_UNAVAILABLE' : 'SOURCE_REFUSED',
    { what: nameOf(target), why: found.why ?? message ?? '', fix: found.fix },
    { cause },
  )
}

/** Changes that the state counts on are not kept any more. */
export const lost = (target: ConnectionTarget, why: string, also = ''): MillraceError =>
  new MillraceError('SOURCE_LOG_LOST', { what: nameOf(target), why, also })
