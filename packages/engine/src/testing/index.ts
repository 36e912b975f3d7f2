export { type StreamLogSuiteOptions, streamLogSuite } from './stream-log-suite.ts'
