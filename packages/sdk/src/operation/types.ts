import type { ConfigOf, ConfigSpec } from '../config/fields.ts'
import type { Logger } from '../log/logger.ts'
import type { JsonObject } from '../message/json.ts'

/** What an operation's code is given. */
export interface OperationContext<C extends ConfigSpec = ConfigSpec> {
  readonly config: ConfigOf<C>
  readonly log: Logger
  readonly signal: AbortSignal
}

/**
 * An operation: changes what flows through it. It has one of two forms, both by batches.
 *
 * `records` sees the records of messages, one substream at a time: it answers as many as it likes, in their order.
 * SCHEMA (which `schema` may change), STATE and all others pass by, in their place. `lines` sees plain lines of any
 * content and answers lines.
 */
export interface Operation<C extends ConfigSpec = ConfigSpec> {
  readonly kind: 'operation'
  readonly name: string
  readonly doc: string
  readonly config: C
  readonly records?: (
    records: readonly JsonObject[],
    ctx: OperationContext<C> & { readonly substream: string },
  ) => readonly JsonObject[] | Promise<readonly JsonObject[]>
  readonly schema?: (schema: JsonObject, ctx: OperationContext<C> & { readonly substream: string }) => JsonObject
  readonly lines?: (
    lines: readonly string[],
    ctx: OperationContext<C>,
  ) => readonly string[] | Promise<readonly string[]>
}
