/** What came from a program that does not keep to its catalog: what is not selected is left out before the maps. */
import type { CompileMap, JsonObject, SchemaMessage, SubstreamMap } from '@millrace/sdk'
import { leaveOut } from './maps.ts'

/**
 * Leaves out what is not selected, then maps the rest. `unselected` has `false` for a whole substream, else a list of
 * fields; keys and bookmarks stay.
 */
export const withoutUnselected = (unselected: JsonObject, maps: CompileMap | undefined): CompileMap => {
  const compile = (schema: SchemaMessage): SubstreamMap | undefined => {
    const of = Object.hasOwn(unselected, schema.stream) ? unselected[schema.stream] : undefined
    if (of === undefined) return maps?.(schema)
    if (of === false) return { schema, unselected: true, apply: () => undefined }
    const kept = [...schema.keyProperties, ...(schema.bookmarkProperties ?? [])]
    const selected = leaveOut(
      (of as readonly string[]).filter((field) => !kept.includes(field)),
      schema,
    )
    const mapped = maps?.(selected.schema)
    if (mapped === undefined) return selected
    return {
      ...mapped,
      apply: (record) => {
        const rest = selected.apply(record)
        return rest === undefined ? undefined : mapped.apply(rest)
      },
    }
  }
  return Object.assign(compile, { unmatched: () => maps?.unmatched?.() ?? [] })
}
