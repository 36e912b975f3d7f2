export * from './dials.ts'
export { persisterSuite, type PersisterSuiteOptions } from './persister-suite.ts'
export type { Rows } from './rows.ts'
export { streamerSuite, type StreamerSuiteOptions } from './streamer-suite.ts'
