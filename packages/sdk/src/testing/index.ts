export * from './dials.ts'
export * from './http-server.ts'
export { type PersisterSuiteOptions, persisterSuite } from './persister-suite.ts'
export type { Rows } from './rows.ts'
export { violationOf } from './schema-check.ts'
export {
  type StitchFault,
  type StitchServer,
  type StitchServerOptions,
  startStitchServer,
} from './stitch-server/index.ts'
export { type StreamerSuiteOptions, streamerSuite } from './streamer-suite.ts'
export { type Broker, findBroker, type OwnBroker, startBroker } from './services/broker.ts'
export { answers, freePort, install, OwnServer, type Program, userIds } from './services/service.ts'
export { type Cuttable, cuttable } from './services/way.ts'
