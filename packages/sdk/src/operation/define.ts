import type { ConfigSpec } from '../config/fields.ts'
import type { Operation } from './types.ts'

/** Defines an operation with exactly one of `records` and `lines`. {@link runOperation} runs it. */
export const defineOperation = <C extends ConfigSpec>(definition: Omit<Operation<C>, 'kind'>): Operation => {
  if ((definition.records === undefined) === (definition.lines === undefined))
    throw new TypeError(`operation ${definition.name} needs exactly one of "records" and "lines"`)
  return { kind: 'operation', ...definition } as unknown as Operation
}
