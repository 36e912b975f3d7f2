import { encodeJson, type JsonObject } from '../../message/json.ts'
import type { StitchMessage } from '../../stitch/rules.ts'

interface Row {
  readonly sequence: bigint
  readonly version: bigint | undefined
  readonly data: JsonObject
}

/**
 * What a destination behind the Import API would show. Of records with the same key only the one of the highest sequence
 * counts; without keys each becomes a row. Once a version is activated, rows of others are gone.
 */
export class StitchTables {
  readonly #keyed = new Map<string, Map<string, Row>>()
  readonly #appended = new Map<string, Row[]>()

  load(messages: readonly StitchMessage[]): void {
    for (const { table, keys, action, sequence, version, data } of messages) {
      const keyed = this.#keyed.get(table) ?? new Map<string, Row>()
      const appended = this.#appended.get(table) ?? []
      this.#keyed.set(table, keyed)
      this.#appended.set(table, appended)
      if (action === 'activate_version' || data === undefined) {
        for (const [key, row] of keyed) if (row.version !== version) keyed.delete(key)
        this.#appended.set(
          table,
          appended.filter((row) => row.version === version),
        )
        continue
      }
      const row = { sequence, version, data }
      if (keys.length === 0) {
        appended.push(row)
        continue
      }
      const key = encodeJson(keys.map((name) => data[name] ?? null))
      const known = keyed.get(key)
      if (known === undefined || known.sequence < sequence) keyed.set(key, row)
    }
  }

  get names(): readonly string[] {
    return [...this.#keyed.keys()]
  }

  /** The rows of a table, those without keys in the order in which they came. */
  rows(table: string): readonly JsonObject[] {
    return [...(this.#keyed.get(table)?.values() ?? []), ...(this.#appended.get(table) ?? [])].map((row) => row.data)
  }
}
