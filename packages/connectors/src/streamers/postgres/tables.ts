/** The tables of a database, by its own catalog. */
import type { Client } from 'pg'
import type { Column } from './types.ts'

/** A table, partitioned table, view, materialised view or foreign table that may be read. */
export interface SourceTable {
  /** The name of its substream. */
  readonly substream: string
  readonly schema: string
  readonly name: string
  /** An ordinary table: neither partitioned nor a view. */
  readonly isPlain: boolean
  readonly columns: readonly Column[]
  /** The columns of its primary key; none for a view. */
  readonly keys: readonly string[]
  /** How it can be followed in the log of changes. */
  readonly log: TableLog
}

/** What the log of changes knows of a table. */
export interface TableLog {
  readonly oid: number
  /** pg_class.relkind: r table, p partitioned table; others are in no log. */
  readonly kind: string
  /** False: nothing of it is in the log (UNLOGGED). */
  readonly isLogged: boolean
  /** pg_class.relreplident: how old rows are told; d by the primary key, i by an index, f whole, n not at all. */
  readonly identity: string
  /** The columns of the index that old rows are told by, where it is by one. */
  readonly identityKeys: readonly string[]
}

interface ColumnRow {
  readonly schema: string
  readonly table: string
  readonly is_plain: boolean
  readonly column: string
  readonly type: string
  readonly kind: string
  readonly modifier: number
  readonly is_array: boolean
  readonly is_text: boolean
  readonly is_nullable: boolean
  readonly is_generated: boolean
  readonly key_place: number | null
  readonly oid: string
  readonly relkind: string
  readonly persistence: string
  readonly identity: string
  readonly identity_place: number | null
}

// A partition is read with the table that it is a part of. Of a domain the type below it, of an array that of its elements.
// What is numbered from 16384 on did not come with the server: only of such types row_to_json uses a cast to json.
const columnsSql = `
with recursive base (oid, typname, typtype, typelem, typcategory) as (
  select t.oid, t.typname, t.typtype, t.typelem, t.typcategory, t.oid as of, t.typbasetype, t.typtypmod from pg_type t
), resolved as (
  select of, oid, typname, typtype, typelem, typcategory, typbasetype, typtypmod, -1 as modifier from base
  union all
  select r.of, t.oid, t.typname, t.typtype, t.typelem, t.typcategory, t.typbasetype, t.typtypmod, r.typtypmod
  from resolved r join pg_type t on t.oid = r.typbasetype where r.typtype = 'd'
), types as (
  select r.of, coalesce(e.typname, r.typname) as typname, coalesce(e.typtype, r.typtype) as typtype, r.modifier, r.typcategory = 'A' as is_array,
    r.oid < 16384 or r.typtype = 'e' and not exists (select from pg_cast k where k.castsource = r.oid and k.casttarget = 'json'::regtype and k.castmethod = 'f') as is_text
  from resolved r left join pg_type e on r.typcategory = 'A' and e.oid = r.typelem where r.typtype <> 'd'
)
select n.nspname as schema, c.relname as table, c.relkind = 'r' as is_plain, a.attname as column, t.typname as type, t.typtype::text as kind, greatest(a.atttypmod, t.modifier) as modifier, t.is_array, t.is_text,
  not a.attnotnull as is_nullable, coalesce(to_jsonb(a)->>'attgenerated', '') <> '' as is_generated, array_position(i.indkey::int2[], a.attnum) as key_place,
  c.oid::text, c.relkind::text, c.relpersistence::text as persistence, c.relreplident::text as identity,
  array_position(ri.indkey::int2[], a.attnum) as identity_place
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join types t on t.of = a.atttypid
left join pg_index i on i.indrelid = c.oid and i.indisprimary
left join pg_index ri on ri.indrelid = c.oid and ri.indisreplident and c.relreplident = 'i'
where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and has_schema_privilege(n.oid, 'usage') and has_any_column_privilege(c.oid, 'select') and has_column_privilege(c.oid, a.attnum, 'select')
order by n.nspname, c.relname, a.attnum`

/** `schemas` and `tables`: names with * and ?; none: all. A table is named alone or with its schema: `sales.orders`. */
export interface TableFilter {
  readonly schemas: readonly string[]
  readonly tables: readonly string[]
}

/** Whether a name of `tables` means this table. */
export const isMeant = (pattern: string, { schema, name }: Pick<SourceTable, 'schema' | 'name'>): boolean =>
  matches(pattern, name) || matches(pattern, `${schema}.${name}`)

const matches = (pattern: string, name: string): boolean =>
  new RegExp(
    `^${pattern
      .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`,
    'u',
  ).test(name)

/** The tables that the user may read, with the columns that it may read. Throws what the server says. */
export const readTables = async (client: Client, filter: TableFilter): Promise<readonly SourceTable[]> => {
  const { rows } = await client.query<ColumnRow>(columnsSql)
  const grouped = new Map<string, ColumnRow[]>()
  for (const row of rows) {
    const { schema, table } = row
    const isWanted =
      (filter.schemas.length === 0 || filter.schemas.some((p) => matches(p, schema))) &&
      (filter.tables.length === 0 || filter.tables.some((p) => isMeant(p, { schema, name: table })))
    if (!isWanted) continue
    const key = JSON.stringify([schema, table])
    const known = grouped.get(key)
    if (known === undefined) grouped.set(key, [row])
    else known.push(row)
  }
  return [...grouped.values()].map((columns) => {
    const [first] = columns as [ColumnRow, ...ColumnRow[]]
    const { schema, table, is_plain: isPlain } = first
    return {
      substream: schema === 'public' ? table : `${schema}-${table}`,
      schema,
      name: table,
      isPlain,
      columns: columns.map((c) => ({
        name: c.column,
        type: c.type,
        kind: c.kind,
        modifier: c.modifier,
        isArray: c.is_array,
        isText: c.is_text,
        isNullable: c.is_nullable,
        isGenerated: c.is_generated,
      })),
      keys: inOrder(columns, (c) => c.key_place),
      log: {
        oid: Number(first.oid),
        kind: first.relkind,
        isLogged: first.persistence === 'p',
        identity: first.identity,
        identityKeys: inOrder(columns, (c) => c.identity_place),
      },
    }
  })
}

/** The columns that have a place, in the order of their places. */
const inOrder = (columns: readonly ColumnRow[], placeOf: (c: ColumnRow) => number | null): readonly string[] =>
  columns
    .filter((c) => placeOf(c) !== null)
    .toSorted((a, b) => (placeOf(a) as number) - (placeOf(b) as number))
    .map((c) => c.column)
