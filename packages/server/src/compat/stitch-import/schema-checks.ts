/** Checks of records against the schema that comes with their batch (JSON Schema draft 4), in the words of the Import API. */
import { encodeJson, isObject, type Json, type JsonObject } from '@millrace/sdk'
import { stitchType } from '@millrace/sdk/stitch'
import type { RecordCheck } from '../../streams/types.ts'

/** Makes the check of a JSON Schema. Throws an Error in words where it is none. */
export type Compile = (schema: unknown) => RecordCheck

const maxKept = 100

/** The check of a schema, or why it is none. */
type Compiled = { readonly check: RecordCheck } | { readonly fault: string }

export class SchemaChecks {
  readonly #compile: Compile
  /** By their text: a client sends the same with every batch. */
  readonly #kept = new Map<string, Compiled>()
  #last: { readonly schema: JsonObject; readonly compiled: Compiled } | undefined
  /** The text of the record that was checked last and is written next. */
  readonly #texts = new WeakMap<JsonObject, string>()

  constructor(compile: Compile) {
    this.#compile = compile
  }

  /** What is wrong with a record, as `#/FIELD: expected: T1, found: T2`; undefined where nothing is. */
  violation(schema: JsonObject, record: JsonObject): string | undefined {
    if (this.#last?.schema !== schema) this.#last = { schema, compiled: this.#find(schema) }
    const { compiled } = this.#last
    if ('fault' in compiled) return `the schema is none: ${compiled.fault}`
    const text = encodeJson(record)
    this.#texts.set(record, text)
    const why = compiled.check(Buffer.from(text))
    return why === undefined ? undefined : inTheirWords(why, record)
  }

  /** The text of a record, as it was checked. */
  textOf(record: JsonObject): string {
    return this.#texts.get(record) ?? encodeJson(record)
  }

  #find(schema: JsonObject): Compiled {
    const text = encodeJson(schema)
    let compiled = this.#kept.get(text)
    if (compiled === undefined) {
      try {
        compiled = { check: this.#compile(ofToday(JSON.parse(text))) }
      } catch (e) {
        compiled = { fault: e instanceof Error ? e.message : String(e) }
      }
      if (this.#kept.size >= maxKept) this.#kept.delete(this.#kept.keys().next().value as string)
      this.#kept.set(text, compiled)
    }
    return compiled
  }
}

/** Keywords whose value is no schema. */
const values = new Set(['const', 'default', 'enum', 'examples', 'required', 'type'])

/**
 * A schema of draft 4 as the drafts since have it. `multipleOf` is left out: clients write it for the scale of a decimal, which a double cannot
 * be asked for. So are `$schema` and `id`, which only name it.
 */
const ofToday = (schema: unknown, isSchema = true): unknown => {
  if (Array.isArray(schema)) return schema.map((one) => ofToday(one))
  if (typeof schema !== 'object' || schema === null) return schema
  const out: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(schema)) {
    if (
      isSchema &&
      ((name === 'multipleOf' && typeof value === 'number') ||
        ((name === '$schema' || name === 'id') && typeof value === 'string'))
    )
      continue
    out[name] = isSchema && values.has(name) ? value : ofToday(value, !(isSchema && holdsNames.has(name)))
  }
  if (!isSchema) return out
  for (const [bound, exclusive] of [
    ['minimum', 'exclusiveMinimum'],
    ['maximum', 'exclusiveMaximum'],
  ] as const) {
    if (typeof out[exclusive] !== 'boolean') continue
    if (out[exclusive] === true && out[bound] !== undefined) out[exclusive] = out[bound]
    else delete out[exclusive]
  }
  return out
}
const holdsNames = new Set(['properties', 'patternProperties', 'definitions', '$defs', 'dependencies'])

const inTheirWords = (why: string, record: JsonObject): string => {
  const [, place = '', what = why] = /^(\/\S*|\(top\)) (.*)$/s.exec(why) ?? []
  const at = place === '(top)' ? '' : place
  const wanted = /^must be ((?:null|boolean|object|array|number|integer|string)(?:,\S+)*)$/.exec(what)?.[1]
  return `#${at}: ${wanted === undefined ? what : `expected: ${wanted}, found: ${stitchType(valueAt(record, at))}`}`
}

/** What a JSON pointer leads to. */
const valueAt = (record: Json, pointer: string): Json | undefined => {
  let value: Json | undefined = record
  for (const step of pointer.split('/').slice(1)) {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~')
    if (Array.isArray(value)) value = value[Number(name)] as Json | undefined
    else value = value !== undefined && isObject(value) ? value[name] : undefined
  }
  return value
}
