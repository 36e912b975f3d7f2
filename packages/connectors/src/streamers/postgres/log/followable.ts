/** Which tables can be read by the log of changes. */
import { MillraceError } from '@millrace/sdk'
import { type ConnectionTarget, nameOf } from '../../../postgres/settings.ts'
import type { SourceTable } from '../tables.ts'
import { quoteName } from '../types.ts'

/** Whether its changes are in the log at all: views, foreign and unlogged tables are in none. */
export const isInLog = ({ log }: SourceTable): boolean => (log.kind === 'r' || log.kind === 'p') && log.isLogged

/** What rows of the table are known by in the log; none: changed and deleted rows could not be told. */
export const keysOf = ({ keys, log }: SourceTable): readonly string[] =>
  log.identity === 'i' ? log.identityKeys : log.identity === 'n' ? [] : keys

const whyNot = (table: SourceTable): string | undefined => {
  if (!isInLog(table)) return 'is not in the log: only tables are, and no UNLOGGED ones'
  if (keysOf(table).length > 0) return undefined
  return table.keys.length > 0
    ? 'says that its old rows are told by nothing (REPLICA IDENTITY NOTHING)'
    : 'has no primary key, so nobody can say which of its rows changed'
}

/** Throws SOURCE_REFUSED where a table cannot be read by the log, before anything is read. */
export const refuseUnfollowable = (tables: readonly SourceTable[], target: ConnectionTarget): void => {
  const problems = tables.flatMap((table) => {
    const why = whyNot(table)
    return why === undefined ? [] : [{ table, why }]
  })
  const [first] = problems
  if (first === undefined) return
  const name = `${quoteName(first.table.schema)}.${quoteName(first.table.name)}`
  throw new MillraceError('SOURCE_REFUSED', {
    what: nameOf(target),
    why: problems.map(({ table, why }) => `table ${table.schema}.${table.name} ${why}`).join('; '),
    fix: `Give it a primary key, or name a unique index without nulls (ALTER TABLE ${name} REPLICA IDENTITY USING INDEX …); or read it whole: "replication-method": "FULL_TABLE" in the catalog, or leave it out.`,
  })
}
