/** What is known of a destination's tables, and what changes they need. */
import { MillraceError, type SchemaMessage } from '@millrace/sdk'
import { catalogTable } from './catalog.ts'
import { evolve, type EvolveOptions, hasKeys, metadataNames, newTable, rekey, samePath } from './evolve.ts'
import { fold, Names } from './names.ts'
import type { SqlSettings } from './settings.ts'
import type { Column, Dialect, MetadataName, Table, TableChange } from './types.ts'
import type { WantedColumn, WantedTable } from './wanted.ts'

/** The tables of one substream, as they are now. */
export interface Tables {
  readonly main: Table
  readonly children: readonly Table[]
}

/** What is known of a destination's tables, and what changes they need. Shared by sessions and plans: it executes nothing. */
export class TablePlanner {
  readonly #catalog: Map<string, Table>
  readonly #names: Names
  readonly #settings: SqlSettings
  readonly #options: EvolveOptions

  constructor(catalog: readonly Table[], settings: SqlSettings, dialect: Dialect) {
    this.#catalog = new Map(catalog.map((t) => [identity(t.substream, t.path), t]))
    this.#names = new Names(
      dialect,
      (name) => dialect.reservesTable(name) || fold(name) === catalogTable,
      catalog.map((t) => t.name),
    )
    this.#settings = settings
    const metadata = settings.metadata
      ? metadataNames
      : settings.deletes === 'soft'
        ? (['_sdc_deleted_at'] as const)
        : []
    this.#options = { dialect, metadata }
  }

  find(substream: string, path: readonly string[]): Table | undefined {
    return this.#catalog.get(identity(substream, path))
  }

  keep(table: Table): void {
    this.#names.take(table.name)
    this.#catalog.set(identity(table.substream, table.path), table)
  }

  forget(table: Table): void {
    this.#catalog.delete(identity(table.substream, table.path))
    this.#names.release(table.name)
  }

  /** Whether a schema gives other keys to a table that is there. */
  rekeys(message: SchemaMessage): boolean {
    const table = this.find(message.stream, [])
    return table !== undefined && !hasKeys(table, this.#keysOf(message))
  }

  #keysOf(message: SchemaMessage): readonly string[] {
    return this.#settings.mode === 'append' ? [] : message.keyProperties
  }

  /** The tables that a schema asks for, and the steps to them. */
  declare(
    message: SchemaMessage,
    wanted: readonly WantedTable[],
  ): Tables & { readonly changes: readonly TableChange[] } {
    const keys = this.#keysOf(message)
    const [top, ...arrays] = wanted as readonly [WantedTable, ...WantedTable[]]
    const existing = this.find(message.stream, [])
    const main =
      existing === undefined
        ? newTable({ name: this.#names.claim(message.stream), substream: message.stream, keys }, top, this.#options)
        : rekey(evolve(existing, top.columns, this.#options), keys)
    const changes = [...main.changes]
    const children = arrays.map((w) => {
      const old = this.find(message.stream, w.path)
      const name = old?.name ?? this.#names.claim(`${main.table.name}__${w.path.join('__')}`)
      const child =
        old === undefined
          ? newTable({ name, substream: message.stream, keys: [], parent: main.table }, w, {
              ...this.#options,
              metadata: [],
            })
          : this.widen(old, w.columns, main.table)
      changes.push(...child.changes)
      return child.table
    })
    if (children.length > 0 && changes.some((c) => c.kind === 'rekey'))
      throw refused(
        main.table,
        existing?.keys ?? [],
        'Child tables hang on the key properties: rebuild the destination from the beginning.',
      )
    return { main: main.table, children, changes }
  }

  /** A table made wide enough; a child's links follow the keys of its parent. */
  widen(
    table: Table,
    wanted: readonly WantedColumn[],
    parent?: Table,
    also: readonly MetadataName[] = [],
  ): { readonly table: Table; readonly changes: readonly TableChange[] } {
    const metadata = parent === undefined ? [...this.#options.metadata, ...also] : []
    const next = evolve(table, wanted, { ...this.#options, metadata })
    if (parent === undefined) return next
    const changes = [...next.changes]
    const columns = next.table.columns.map((c): Column => {
      const link = c.link
      if (link === undefined || 'index' in link) return c
      const key = parent.columns.find((k) => samePath(k.path, [link.parentKey]))
      return key === undefined || key.type === c.type ? c : { ...c, type: key.type }
    })
    const changed = { ...next.table, columns }
    columns.forEach((column, i) => {
      const from = (next.table.columns[i] as Column).type
      if (column.type !== from) changes.push({ kind: 'retype', table: changed, column, from })
    })
    return changes.length === 0
      ? { table, changes }
      : { table: changed, changes: changes.map((c) => ({ ...c, table: changed })) }
  }
}

const identity = (substream: string, path: readonly string[]): string => JSON.stringify([substream, path])

const refused = (table: Table, from: readonly string[], fix: string): MillraceError =>
  new MillraceError('SCHEMA_CHANGE_REFUSED', {
    stream: table.substream,
    field: 'key_properties',
    to: table.keys.join(', ') || '(none)',
    from: from.join(', ') || '(none)',
    fix,
  })
