import { resolveConfig } from '@millrace/sdk'
import { type Pipeline, projectEnvironment, resolveEnd } from '@millrace/server'
import { findPersister, findStreamer } from '../connector/find.ts'

/**
 * Looks at the settings of our connectors in a pipeline before anything is started, so that what is wrong is told by where
 * it was written: the files that the programs get are gone when somebody reads of them. Throws CONFIG_INVALID.
 */
export const refuseWrongSettings = async (pipeline: Pipeline, dir: string, writtenIn: string): Promise<void> => {
  const env = projectEnvironment(dir, process.env)
  for (const side of ['from', 'to'] as const) {
    const end = pipeline[side]
    if (end.kind !== 'connector') continue
    const what = { what: `pipeline ${pipeline.name}, ${side}`, places: 'the environment and .env' }
    const resolved = resolveEnd(end, env, what)
    const connector =
      side === 'from' ? await findStreamer(end.name, pipeline.cwd) : await findPersister(end.name, pipeline.cwd)
    resolveConfig(connector.config, {
      kind: connector.kind,
      name: connector.name,
      env: { ...env, ...resolved.env },
      file: resolved.config ?? {},
      fileName: writtenIn,
    })
  }
}
