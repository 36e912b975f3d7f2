export * from './dials.ts'
export { streamerSuite, type StreamerSuiteOptions } from './streamer-suite.ts'
