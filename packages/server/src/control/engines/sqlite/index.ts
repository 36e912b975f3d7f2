import { join } from 'node:path'
import type { ControlPlane } from '../../control-plane.ts'
import { openThreaded } from './threaded.ts'

/** The control plane's file in a project folder. */
export const controlFile = (projectDir: string): string => join(projectDir, '.millrace', 'control.db')

/**
 * The control plane in one SQLite file (WAL, every commit flushed), made where it is not there, for its owner only. One thread
 * writes, so that nothing here waits for the disk. Several processes may have the file open. Throws CONTROL_UNUSABLE for one that is
 * damaged, newer, or not to be opened.
 */
export const openSqliteControlPlane = async (path: string): Promise<ControlPlane> => await openThreaded(path)
