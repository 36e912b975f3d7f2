/** The reason, in words, why a schema cannot be used. */
export class SchemaFault extends Error {}

/** Schemas within a schema, at most: compiling them is work that nobody else gets done meanwhile. */
export const maxSubschemas = 5_000
export const maxSchemaDepth = 100

/** Parts of a schema that the check of one record may go through, besides one for each byte of the record. */
const freeSteps = 1_000_000

/** Thrown where a check does not end in reasonable time. */
export class TooManySteps extends Error {}

/** Counts what a check goes through, so that no schema, however its references multiply, makes one take for ever. */
export class Steps {
  #left = 0

  begin(bytes: number): void {
    this.#left = freeSteps + bytes
  }

  take(): true {
    if (--this.#left < 0) throw new TooManySteps()
    return true
  }
}

export const isPlain = (v: unknown): v is Readonly<Record<string, unknown>> =>
  typeof v === 'object' && v !== null && !Array.isArray(v)
