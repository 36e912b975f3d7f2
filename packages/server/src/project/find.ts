import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { MillraceError, nearest, systemCode } from '@millrace/sdk'
import type { Pipeline } from '../domain/pipeline.ts'
import type { InstalledConnector } from './installed.ts'
import type { Environment } from './references.ts'

/** The name of a project's file. */
export const projectFileName = 'millrace.yaml'

/** The project file of a folder: the nearest `millrace.yaml` in it or above, or undefined. */
export const findProject = (cwd: string): string | undefined => {
  let folder = resolve(cwd)
  while (true) {
    const file = join(folder, projectFileName)
    if (existsSync(file)) return file
    const above = dirname(folder)
    if (above === folder) return undefined
    folder = above
  }
}

/** A project file that was read and found right. */
export interface Project {
  readonly file: string
  /** Its folder: relative paths start here, and `.millrace` is in it. */
  readonly dir: string
  readonly pipelines: ReadonlyMap<string, Pipeline>
  /** Taps and targets that `millrace add` installs, by name. */
  readonly connectors: ReadonlyMap<string, InstalledConnector>
}

/** A pipeline of a project. Throws PIPELINE_UNKNOWN with near names. */
export const getPipeline = (project: Project, name: string): Pipeline => {
  const found = project.pipelines.get(name)
  if (found !== undefined) return found
  const known = [...project.pipelines.keys()]
  throw new MillraceError('PIPELINE_UNKNOWN', { name, near: nearest(name, known), known })
}

/** The environment of a project's folder: `real` over the variables of its `.env`. Throws CONFIG_FILE where that cannot be read. */
export const projectEnvironment = (dir: string, real: Environment): Environment => {
  const file = join(dir, '.env')
  try {
    return { ...parseEnv(readFileSync(file, 'utf8')), ...real }
  } catch (e) {
    if (systemCode(e) === 'ENOENT') return real
    throw new MillraceError('CONFIG_FILE', { file, why: systemCode(e) ?? 'cannot be read' }, { cause: e })
  }
}
