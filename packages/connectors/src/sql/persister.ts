/** What a SQL persister consists of, beside its own database: opening, check, verify and plan. */

import { existsSync } from 'node:fs'
import { access as accessFile, constants } from 'node:fs/promises'
import { dirname } from 'node:path'
import {
  type Evidence,
  isObject,
  type Logger,
  MillraceError,
  type PersisterSession,
  type PlannedSchema,
  type VerifyFinding,
} from '@millrace/sdk'
import { tryFolder } from '../file-output/try-folder.ts'
import { readEntries } from './catalog.ts'
import { TablePlanner } from './planner.ts'
import { marksOf, SqlSession } from './session.ts'
import type { SqlSettings } from './settings.ts'
import type { Dialect, SqlDatabase, Table } from './types.ts'
import { wantedTables } from './wanted.ts'

/** How to reach a database. */
export interface SqlAccess<S extends SqlSettings> {
  readonly dialect: Dialect
  /** The file that it is; undefined for a server. */
  readonly path: (settings: S) => string | undefined
  readonly open: (settings: S, how: 'write' | 'read') => Promise<SqlDatabase>
}

interface Context<S> {
  readonly config: S
  readonly log: Logger
}

/** Opens a session that writes. */
export const openSql = async <S extends SqlSettings>(
  access: SqlAccess<S>,
  ctx: Context<S>,
): Promise<PersisterSession> => SqlSession.open(await access.open(ctx.config, 'write'), ctx.config, ctx.log)

/** Runs `use` on the database opened for reading; undefined where there is none yet. */
const reading = async <S extends SqlSettings, T>(
  access: SqlAccess<S>,
  settings: S,
  use: (db: SqlDatabase, catalog: readonly Table[]) => Promise<T>,
): Promise<T | undefined> => {
  const path = access.path(settings)
  if (path !== undefined && !existsSync(path)) return undefined
  await using db = await access.open(settings, 'read')
  return await use(db, readEntries(await db.readCatalog()))
}

/** Whether the settings reach a database, or a place where one can be made. Throws what is wrong. */
export const checkSql = async <S extends SqlSettings>(access: SqlAccess<S>, ctx: Context<S>): Promise<void> => {
  const isThere = await reading(access, ctx.config, async () => true)
  const path = access.path(ctx.config)
  if (path === undefined) return
  try {
    // Beside the file stands its log, so the folder counts also where the file is there.
    if (isThere === true) await accessFile(path, constants.W_OK)
    await tryFolder(dirname(path))
  } catch (e) {
    throw new MillraceError(
      'DESTINATION_REFUSED',
      {
        what: path,
        why:
          isThere === true
            ? 'it or its folder may not be written to'
            : 'its folder is not there or may not be written to',
        fix:
          isThere === true
            ? 'Give this user the rights or choose another path.'
            : `Make the folder ${dirname(path)} or choose another path.`,
      },
      { cause: e },
    )
  }
}

/** What declaring these schemas would do, as SQL; executes nothing. */
export const planSql = async <S extends SqlSettings>(
  access: SqlAccess<S>,
  ctx: Context<S>,
  schemas: readonly PlannedSchema[],
): Promise<readonly string[]> => {
  const catalog = (await reading(access, ctx.config, async (_db, tables) => tables)) ?? []
  const planner = new TablePlanner(catalog, ctx.config, access.dialect)
  return schemas.flatMap((schema) => {
    const declared = planner.declare(schema, wantedTables(schema, ctx.config, access.dialect))
    // It comes with the first record that carries a version.
    const versioned = planner.widen(declared.main, [], undefined, schema.versioned ? ['_sdc_table_version'] : [])
    for (const table of [versioned.table, ...declared.children]) planner.keep(table)
    return [...declared.changes, ...versioned.changes].flatMap((c) => access.dialect.statements(c))
  })
}

/** Asks the tables again: their rows and fingerprints, against the evidence. */
export const verifySql = async <S extends SqlSettings>(
  access: SqlAccess<S>,
  ctx: Context<S>,
  evidence: readonly Evidence[],
): Promise<readonly VerifyFinding[]> => {
  const found = await reading(access, ctx.config, async (db, catalog) => {
    const findings: VerifyFinding[] = []
    for (const e of evidence) findings.push(await verifyOne(db, catalog, e))
    return findings
  })
  return found ?? evidence.map((e) => ({ substream: e.substream, rows: 0, problems: ['the database is not there'] }))
}

const verifyOne = async (db: SqlDatabase, catalog: readonly Table[], e: Evidence): Promise<VerifyFinding> => {
  const { table, fingerprint, children } = marksOf(e.marks)
  const problems: string[] = []
  const compare = async (name: string, rows: number, mark: string | undefined): Promise<number> => {
    const entry = catalog.find((t) => t.name === name)
    if (entry === undefined || (await db.columnsOf(name)) === undefined) {
      problems.push(`table ${name} is not there`)
      return 0
    }
    const now = await db.measure(entry)
    if (now.rows !== rows) problems.push(`table ${name} has ${now.rows} rows, it had ${rows}`)
    // A fingerprint of another version of the database cannot be compared.
    else if (
      mark !== undefined &&
      now.fingerprint !== undefined &&
      kindOf(mark) === kindOf(now.fingerprint) &&
      mark !== now.fingerprint
    )
      problems.push(`values in table ${name} changed: its fingerprint is ${now.fingerprint}, it was ${mark}`)
    return now.rows
  }
  const rows = await compare(table, e.rows, fingerprint)
  for (const [name, mark] of Object.entries(children))
    if (isObject(mark))
      await compare(
        name,
        Number(mark['rows']),
        typeof mark['fingerprint'] === 'string' ? mark['fingerprint'] : undefined,
      )
  return { substream: e.substream, rows, problems }
}

const kindOf = (fingerprint: string): string => fingerprint.slice(0, fingerprint.lastIndexOf(':'))
