import type { Persister, Streamer } from '@millrace/sdk'
import * as manifest from './manifest.ts'
import { createRegistry, type Registry } from './registry.ts'

export { createRegistry, type Registry }

/** A registry of the streamers that come with Millrace. */
export const builtInStreamers = (): Registry<Streamer> => createRegistry('streamer', manifest.streamers)

/** A registry of the persisters that come with Millrace. */
export const builtInPersisters = (): Registry<Persister> => createRegistry('persister', manifest.persisters)

/** The gate: checks and maps of records. Loaded when it is needed: its libraries are the dearest to load here. */
export const loadGate = async (): Promise<typeof import('./gate/index.ts')> => await import('./gate/index.ts')

export { type DatabaseReader, isDatabaseUrl, openDatabaseReader, type QueryAnswer, sqlName } from './query.ts'

/** The persister `stitch` with what its executable `persist-stitch` asks for beside. */
export const loadStitchPersister = async (): Promise<typeof import('./persisters/stitch/index.ts').stitchPersister> =>
  (await import('./persisters/stitch/index.ts')).stitchPersister
