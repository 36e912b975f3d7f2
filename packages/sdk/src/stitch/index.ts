/** The rules of the Stitch Import API, for whoever answers in its place: the manager, and the server of the tests. */
export * from './request.ts'
export { readBatch, readPush, type Refusal, type StitchMessage, type StitchRules, type Verdict } from './rules.ts'
