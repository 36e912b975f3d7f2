/**
 * The JSON Schema of records that came without one. Types only ever widen: a schema made from more records accepts
 * every record that the earlier one did.
 */
import { Decimal, isObject, type Json, type JsonObject } from './json.ts'

const NULL = 1
const BOOLEAN = 2
const INTEGER = 4
const NUMBER = 8
const STRING = 16
const OBJECT = 32
const ARRAY = 64

/** In the order in which a schema lists them. */
const typeNames: readonly (readonly [number, string])[] = [
  [NULL, 'null'],
  [BOOLEAN, 'boolean'],
  [INTEGER, 'integer'],
  [NUMBER, 'number'],
  [STRING, 'string'],
  [OBJECT, 'object'],
  [ARRAY, 'array'],
]

/** What was seen of one field. Texts are times until one is not. */
class Shape {
  readonly given: JsonObject
  types = 0
  isTime = true
  isChanged = false
  /** Set for a given schema that names no type: it accepts all of them already. */
  isOpen = false
  readonly properties = new Map<string, Shape>()
  items: Shape | undefined

  constructor(given?: JsonObject) {
    this.given = given ?? {}
    if (given === undefined) return
    const types = given['type']
    this.isOpen = types === undefined
    for (const name of Array.isArray(types) ? types : [types])
      this.types |= typeNames.find(([, known]) => known === name)?.[0] ?? 0
    if (this.isOpen || (this.types & STRING) !== 0) this.isTime = given['format'] === 'date-time'
    if (isObject(given['properties']))
      for (const [key, property] of Object.entries(given['properties']))
        this.properties.set(key, new Shape(isObject(property) ? property : {}))
    if (isObject(given['items'])) this.items = new Shape(given['items'])
  }

  /** Widens the shape where the value does not fit it. Marks it changed where it or anything in it did. */
  see(value: Json): void {
    switch (typeof value) {
      case 'string':
        this.#add(STRING)
        if (this.isTime && !isDateTime(value)) {
          this.isTime = false
          this.isChanged = true
        }
        return
      case 'number':
        this.#add(Number.isSafeInteger(value) ? INTEGER : NUMBER)
        return
      case 'boolean':
        this.#add(BOOLEAN)
        return
      case 'bigint':
        this.#add(INTEGER)
        return
    }
    if (value === null) this.#add(NULL)
    else if (value instanceof Decimal) this.#add(NUMBER)
    else if (Array.isArray(value)) {
      this.#add(ARRAY)
      for (let i = 0; i < value.length; i++) this.#item(value[i])
    } else {
      this.#add(OBJECT)
      this.members(value as JsonObject)
    }
  }

  members(value: JsonObject): void {
    for (const key of Object.keys(value)) {
      let property = this.properties.get(key)
      if (property === undefined) {
        property = new Shape()
        this.properties.set(key, property)
      }
      property.see(value[key] as Json)
      if (property.isChanged) this.isChanged = true
    }
  }

  #item(value: Json): void {
    this.items ??= new Shape()
    this.items.see(value)
    if (this.items.isChanged) this.isChanged = true
  }

  #add(type: number): void {
    if ((this.types & type) !== 0 || (type === INTEGER && (this.types & NUMBER) !== 0)) return
    if (this.isOpen) return
    this.types |= type
    if (type === NUMBER) this.types &= ~INTEGER
    this.isChanged = true
  }

  /** The schema; the same object as was given where nothing in it changed. */
  toSchema(): JsonObject {
    if (!this.isChanged) return this.given
    const { type: _, format, ...rest } = this.given as { readonly [key: string]: Json }
    const names = typeNames.filter(([bit]) => (this.types & bit) !== 0).map(([, name]) => name)
    const isTime = this.isTime && (this.isOpen || (this.types & STRING) !== 0)
    return {
      ...(names.length === 0 ? {} : { type: names.length === 1 ? (names[0] as string) : names }),
      ...(isTime ? { format: 'date-time' } : format !== undefined && format !== 'date-time' ? { format } : {}),
      ...rest,
      ...(this.properties.size > 0 || (this.types & OBJECT) !== 0
        ? { properties: Object.fromEntries([...this.properties].map(([key, shape]) => [key, shape.toSchema()])) }
        : {}),
      ...(this.items === undefined ? {} : { items: this.items.toSchema() }),
    }
  }
}

const dateTime =
  /^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?(?:[Zz]|[-+][0-9]{2}:[0-9]{2})$/

/** Whether text is an RFC 3339 time with its date and zone. */
const isDateTime = (text: string): boolean =>
  text.length >= 20 && text.length <= 40 && text.charCodeAt(4) === 45 && dateTime.test(text)

/**
 * The schema of `records`, or of them and everything that `previous` accepts. Fields keep the order in which they were
 * first seen; integers become numbers when a fraction comes, `null` joins where a null was, texts are `date-time` only
 * as long as every one of them is an RFC 3339 time. A field with several types lists them all; a field that was always
 * null has the type `null`. Answers `previous` itself where nothing changed. It takes time in proportion to the values.
 */
export const inferSchema = (records: readonly JsonObject[], previous?: JsonObject): JsonObject => {
  const shape = new Shape(previous ?? { type: 'object', properties: {} })
  for (let i = 0; i < records.length; i++) shape.members(records[i] as JsonObject)
  return shape.toSchema()
}
