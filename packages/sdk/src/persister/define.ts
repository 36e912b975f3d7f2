import type { ConfigSpec } from '../config/fields.ts'
import type { Persister } from './types.ts'

/** Defines a persister. See docs/how-to/write-a-persister.md; {@link runPersister} runs it. */
export const definePersister = <C extends ConfigSpec>(definition: Omit<Persister<C>, 'kind'>): Persister =>
  ({ kind: 'persister', ...definition }) as unknown as Persister
