/** The schema of one substream: inferred where nobody gave it, then held. It only ever widens, and says so beforehand. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inferSchema, isObject, type Json, type JsonObject, MillraceError, systemCode } from '@millrace/sdk'
import type { SubstreamSpec } from './substream-spec.ts'

export interface HeldSchemaOptions {
  /** Keeps schemas from run to run. */
  readonly folder: string | undefined
  /** What to do where a record does not fit a schema that was given or kept. */
  readonly onChange: 'widen' | 'refuse'
}

export class HeldSchema {
  readonly #spec: SubstreamSpec
  readonly #options: HeldSchemaOptions
  #schema: JsonObject | undefined
  /** It comes from the settings or from the folder: somebody relies on it. */
  #isOld = false

  private constructor(spec: SubstreamSpec, options: HeldSchemaOptions) {
    this.#spec = spec
    this.#options = options
  }

  /** Throws CONFIG_INVALID where the file in the folder cannot be used. */
  static async open(spec: SubstreamSpec, options: HeldSchemaOptions): Promise<HeldSchema> {
    const held = new HeldSchema(spec, options)
    held.#schema = spec.schema ?? (await held.#load())
    held.#isOld = held.#schema !== undefined
    return held
  }

  /** The schema as it is now; undefined before the first records. */
  get schema(): JsonObject | undefined {
    return this.#schema
  }

  /** Widens the schema to these records: the new one where it changed. Throws SOURCE_MALFORMED where that is refused. */
  async see(records: readonly JsonObject[]): Promise<JsonObject | undefined> {
    const before = this.#schema
    const after = inferSchema(records, before)
    if (after === before || (before === undefined && records.length === 0)) return undefined
    const open = nullable(after, new Set(this.#spec.keys))
    if (this.#isOld && this.#options.onChange === 'refuse')
      throw new MillraceError('SOURCE_MALFORMED', {
        why: `records of ${this.#spec.name} do not fit its schema any more: ${changes(before ?? {}, open).join(', ')}`,
        fix: 'Take the change over into the schema, or allow it with onSchemaChange: widen.',
      })
    this.#schema = open
    await this.#save(open)
    return open
  }

  #file(folder: string): string {
    return join(folder, `${encodeURIComponent(this.#spec.name)}.schema.json`)
  }

  async #load(): Promise<JsonObject | undefined> {
    const { folder } = this.#options
    if (folder === undefined) return undefined
    const file = this.#file(folder)
    try {
      const schema = JSON.parse(await readFile(file, 'utf8')) as Json
      if (isObject(schema)) return schema
      throw new Error('it is not a JSON object')
    } catch (e) {
      if (systemCode(e) === 'ENOENT') return undefined
      throw unusable(file, systemCode(e) ?? 'it is not a JSON object', e)
    }
  }

  async #save(schema: JsonObject): Promise<void> {
    const { folder } = this.#options
    if (folder === undefined) return
    const file = this.#file(folder)
    try {
      await mkdir(folder, { recursive: true })
      await writeFile(`${file}.new`, `${JSON.stringify(schema, null, 2)}\n`)
      await rename(`${file}.new`, file)
    } catch (e) {
      throw unusable(file, systemCode(e) ?? 'it cannot be written', e)
    }
  }
}

const unusable = (file: string, why: string, cause: unknown): MillraceError =>
  new MillraceError(
    'CONFIG_INVALID',
    { what: `schema ${file}`, problems: [why], fix: 'Mend it, or remove it to have it inferred again.' },
    { cause },
  )

/** Any field but a key may be null some day: APIs leave out what they do not know. */
const nullable = (schema: JsonObject, except: ReadonlySet<string>): JsonObject => {
  const properties = schema['properties']
  const items = schema['items']
  return {
    ...schema,
    ...(isObject(properties ?? null)
      ? {
          properties: Object.fromEntries(
            Object.entries(properties as JsonObject).map(([name, inner]) => {
              if (!isObject(inner)) return [name, inner]
              const deep = nullable(inner, new Set())
              return [name, except.has(name) ? deep : withNull(deep)]
            }),
          ),
        }
      : {}),
    ...(isObject(items ?? null) ? { items: nullable(items as JsonObject, new Set()) } : {}),
  }
}

const withNull = (schema: JsonObject): JsonObject => {
  const { type } = schema
  if (type === undefined || type === 'null') return schema
  const types = Array.isArray(type) ? (type as readonly Json[]) : [type]
  return types.includes('null') ? schema : { ...schema, type: ['null', ...types] }
}

/** The top-level fields that are new or other. */
const changes = (before: JsonObject, after: JsonObject): string[] => {
  const old = isObject(before['properties'] ?? null) ? (before['properties'] as JsonObject) : {}
  return Object.entries((after['properties'] ?? {}) as JsonObject)
    .filter(([name, schema]) => JSON.stringify(old[name]) !== JSON.stringify(schema))
    .map(([name]) => (name in old ? `field ${name} has another type` : `field ${name} is new`))
}
