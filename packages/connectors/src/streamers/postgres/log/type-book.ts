/** The types of a server, by its own catalog. */
import type { Client } from 'pg'
import type { Column } from '../types.ts'
import type { RelationColumn } from './pgoutput.ts'
import type { ValueType } from './values.ts'

interface TypeRow {
  readonly oid: string
  readonly name: string
  readonly kind: string
  readonly is_array: boolean
  readonly element: string
  readonly element_delimiter: string | null
  readonly base: string
  readonly modifier: number
  readonly fields: readonly { readonly name: string; readonly type: string }[] | null
}

const typesSql = `
select t.oid::text, t.typname as name, t.typtype::text as kind, t.typcategory = 'A' and t.typelem <> 0 as is_array, t.typelem::text as element,
  e.typdelim::text as element_delimiter, t.typbasetype::text as base, t.typtypmod as modifier,
  (select json_agg(json_build_object('name', a.attname, 'type', a.atttypid::text) order by a.attnum)
   from pg_attribute a where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) as fields
from pg_type t left join pg_type e on e.oid = t.typelem
where t.oid = any($1::oid[])`

/** A type that is gone: its values are text. */
const unknown: ValueType = { name: 'unknown', kind: 'b' }

/** Looks types up once. */
export class TypeBook {
  readonly #client: Client
  readonly #rows = new Map<string, TypeRow>()
  readonly #types = new Map<string, ValueType>()

  constructor(client: Client) {
    this.#client = client
  }

  /** Types by their oids, in their order. Throws what the server says. */
  async types(oids: readonly number[]): Promise<readonly ValueType[]> {
    let missing = oids.map(String).filter((oid) => !this.#rows.has(oid))
    while (missing.length > 0) {
      const { rows } = await this.#client.query<TypeRow>(typesSql, [missing])
      for (const row of rows) this.#rows.set(row.oid, row)
      const below = rows.flatMap((r) => [
        ...(r.kind === 'd' ? [r.base] : []),
        ...(r.is_array ? [r.element] : []),
        ...(r.fields ?? []).map((f) => f.type),
      ])
      missing = [...new Set(below)].filter((oid) => !this.#rows.has(oid))
    }
    return oids.map((oid) => this.#type(String(oid)))
  }

  /** Forgets them all: somebody changed a type. */
  forget(): void {
    this.#rows.clear()
    this.#types.clear()
  }

  #type(oid: string): ValueType {
    const known = this.#types.get(oid)
    if (known !== undefined) return known
    const row = this.#rows.get(oid)
    if (row === undefined) return unknown
    const type: ValueType =
      row.kind === 'd'
        ? { modifier: row.modifier, ...this.#type(row.base) }
        : {
            name: row.name,
            kind: row.kind,
            ...(row.is_array ? { element: this.#type(row.element), delimiter: row.element_delimiter ?? ',' } : {}),
            ...(row.fields === null
              ? {}
              : { fields: row.fields.map((f) => ({ name: f.name, type: this.#type(f.type) })) }),
          }
    this.#types.set(oid, type)
    return type
  }
}

/** A column of the log as discovery describes one. */
export const columnOf = (
  { name, modifier }: Pick<RelationColumn, 'name' | 'modifier'>,
  type: ValueType,
  isNullable: boolean,
): Column => {
  const inner = type.element ?? type
  return {
    name,
    type: inner.name,
    kind: inner.kind,
    modifier: type.modifier ?? modifier,
    isArray: type.element !== undefined,
    isText: true,
    isNullable,
    isGenerated: false,
  }
}
