/** The rules of the Stitch Import API, for whoever answers in its place: the manager, and the server of the tests. */
export * from './request.ts'
export { type Refusal, stitchType, type StitchMessage, type StitchRules, type Taken, type Verdict } from './rules.ts'
