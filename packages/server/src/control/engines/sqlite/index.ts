import { join } from 'node:path'
import type { ControlPlane } from '../../control-plane.ts'
import { SqlControlPlane } from '../../sql/plane.ts'
import { SqliteSql } from './sqlite-sql.ts'

/** The control plane's file in a project folder. */
export const controlFile = (projectDir: string): string => join(projectDir, '.millrace', 'control.db')

/**
 * The control plane in one SQLite file (WAL, every commit flushed), made where it is not there, for its owner only. Several
 * processes may have it open. Throws CONTROL_UNUSABLE for a file that is damaged, newer, or not to be opened.
 */
export const openSqliteControlPlane = async (path: string): Promise<ControlPlane> =>
  new SqlControlPlane(new SqliteSql(path))
