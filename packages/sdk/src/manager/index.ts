/** A typed client of a manager's API, made from its OpenAPI document, and what streams lines into it. */
export * from './client.ts'
export { readEvents, type StreamEvent } from './events.ts'
export type { Operations } from './operations.generated.ts'
export { type PublishedLines, type PublisherOptions, publishLines } from './publisher.ts'
