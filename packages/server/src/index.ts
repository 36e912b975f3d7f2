export type { Manager, ManagerOptions } from './app.ts'
export type * from './control/control-plane.ts'
export * from './control/types.ts'
export * from './domain/access.ts'
export * from './domain/books.ts'
export { isUuid, type Random, secureRandom, uuidv7 } from './domain/ids.ts'
export * from './domain/pipeline.ts'
export type { OffsetRange } from './domain/ranges.ts'
export * from './domain/selection.ts'
export * from './domain/state.ts'
export type { Limits } from './http/limits.ts'
export { type ManagerNote, readManagerNote } from './manager/folder.ts'
export { addConnector } from './project/edit.ts'
export * from './project/find.ts'
export {
  environmentFolder,
  type InstalledConnector,
  isNpm,
  programFolder,
} from './project/installed.ts'
export { loadProject, readProject, surveyProject } from './project/load.ts'
export type { KnownConnectors, Survey } from './project/read.ts'
export {
  type Environment,
  fixOfMissing,
  type MissingVariable,
  missingVariables,
  type ResolvedEnd,
  resolveEnd,
  resolveMaps,
} from './project/references.ts'
export { type ConnectorSchema, projectJsonSchema } from './project/schema.ts'
export { type DiscoverOptions, discoverCatalog } from './runner/discover.ts'
export { childEnvironment, isPassedOn } from './runner/environment.ts'
export { describeExit, type ExitReport } from './runner/exit-report.ts'
export { unselectedFor } from './runner/program.ts'
export type { Metric } from './runner/reports.ts'
export { runPipeline } from './runner/run-pipeline.ts'
export type * from './runner/types.ts'
export { type SubstreamVerdict, type VerifyOptions, type VerifyReport, verifyRun } from './runner/verify.ts'
export { hasStore, openStore, storeFile, storeFolderName } from './store/open.ts'
export type * from './store/types.ts'
export type * from './streams/logins.ts'
export type {
  Batches,
  BatchPartUpload,
  Clients,
  Groups,
  Records,
  Sharing,
  StreamCatalog,
  StreamParts,
  StreamService,
  Users,
} from './streams/stream-service.ts'
export type * from './streams/types.ts'

import type { Manager, ManagerOptions } from './app.ts'

/** Where a manager listens where nobody says otherwise. */
export const defaultListen = '127.0.0.1:4480'

/** Starts a manager; see app.ts. What a server needs is loaded only here. */
export const startManager = async (options: ManagerOptions): Promise<Manager> =>
  await (await import('./app.ts')).startManager(options)
