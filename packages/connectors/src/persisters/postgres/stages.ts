/**
 * Rows on their way into tables. Rows that may replace others go into a staging table of the transaction, all others into
 * their table itself; both by one COPY for as long as nothing else comes between.
 *
 * Rows with one whole number as their key replace none for as long as that number rises from row to row and began above
 * all that the table has: what comes in the order of its id, as most new things do, costs no more than appending.
 */
import type { RowEncoder, Table } from '../../sql/types.ts'
import { CopyWriter, numberLines, type RowCounter, wholeKeyOf } from './copy-rows.ts'
import { orderColumn, quote, typeName } from './dialect.ts'
import type { Link } from './link.ts'

/** Rows of a table wait until they have so many bytes, so that streams that take turns do not mean a COPY a batch. */
const POUR_BYTES = 256 * 1024
/** What may wait of all tables together. */
const MAX_WAITING_BYTES = 8 << 20

/** Rows that go into one table, in its present shape. */
interface Stage {
  readonly table: Table
  readonly signature: string
  /** Name of the staging table; undefined where rows go into the table itself. */
  readonly staging: string | undefined
  waiting: Buffer[]
  bytes: number
  /** The highest key so far, where keys are numbers that rise from row to row; else infinite. */
  lastKey: number
  /** Whether rows were sent. */
  begun: boolean
}

const signatureOf = (table: Table): string => JSON.stringify([table.columns.map((c) => [c.name, c.type]), table.keys])

export class Stages {
  readonly #link: Link
  readonly #stages = new Map<string, Stage>()
  readonly #counter: RowCounter = { next: 0 }
  #waiting = 0
  #nextStaging = 0

  constructor(link: Link) {
    this.#link = link
  }

  encoder(table: Table): RowEncoder {
    const stage = this.#stages.get(table.name)
    const stages = stage === undefined ? table.keys.length > 0 && wholeKeyOf(table) < 0 : stage.staging !== undefined
    return new CopyWriter(table, stages ? this.#counter : undefined)
  }

  /** Takes the rows of an encoder of this table. */
  async add(table: Table, rows: CopyWriter): Promise<void> {
    let stage = await this.#stageOf(table, rows)
    const { ascending } = rows
    const rises = ascending !== undefined && ascending.first > stage.lastKey
    if (stage.staging === undefined && table.keys.length > 0 && (!rises || rows.numbered)) {
      await this.settle(table.name)
      stage = this.#begin(table, true)
    }
    stage.lastKey = rises ? ascending.last : Number.POSITIVE_INFINITY
    const lines = stage.staging === undefined || rows.numbered ? rows.take() : numberLines(rows.take(), this.#counter)
    if (this.#link.copiesFor(stage)) return await this.#link.sendCopy(lines)
    stage.waiting.push(lines)
    stage.bytes += lines.length
    this.#waiting += lines.length
    if (stage.bytes >= POUR_BYTES) await this.#pour(stage)
    if (this.#waiting >= MAX_WAITING_BYTES) for (const s of this.#stages.values()) await this.#pour(s)
  }

  /** Brings all rows of a table to where they belong: what follows sees them. */
  async settle(table: string): Promise<void> {
    const stage = this.#stages.get(table)
    if (stage === undefined) return
    await this.#pour(stage)
    if (this.#link.copiesFor(stage)) await this.#link.endCopy()
    if (stage.begun && stage.staging !== undefined)
      await this.#merge(stage.table, stage.staging, stage.lastKey === Number.POSITIVE_INFINITY)
    this.#stages.delete(table)
  }

  /** The same for all tables: a commit may follow. */
  async settleAll(): Promise<void> {
    for (const table of [...this.#stages.keys()]) await this.settle(table)
    this.#counter.next = 0
  }

  /** Where rows of this table are gathered. A new shape begins anew. */
  async #stageOf(table: Table, rows: CopyWriter): Promise<Stage> {
    const old = this.#stages.get(table.name)
    if (old?.table === table) return old
    if (old !== undefined) {
      if (old.signature === signatureOf(table)) return old
      await this.settle(table.name)
    }
    return this.#begin(table, table.keys.length > 0 && !(await this.#areNew(table, rows)))
  }

  /** Whether these rows have keys above all that are there. */
  async #areNew(table: Table, rows: CopyWriter): Promise<boolean> {
    if (rows.numbered || rows.ascending === undefined) return false
    const key = quote(table.keys[0] as string)
    const [row] = await this.#link.within(
      `SELECT coalesce(max(${key}) < ${rows.ascending.first}, true) AS above FROM ${this.#link.ref(table.name)}`,
    )
    return row?.['above'] === true
  }

  #begin(table: Table, stages: boolean): Stage {
    const staging = stages ? `pg_temp.${quote(`_millrace_stage_${this.#nextStaging++}`)}` : undefined
    const stage: Stage = {
      table,
      signature: signatureOf(table),
      staging,
      waiting: [],
      bytes: 0,
      lastKey: Number.NEGATIVE_INFINITY,
      begun: false,
    }
    this.#stages.set(table.name, stage)
    return stage
  }

  /** Sends what waits; the COPY stays open for more. */
  async #pour(stage: Stage): Promise<void> {
    if (stage.bytes === 0) return
    const { table, staging } = stage
    if (!this.#link.copiesFor(stage)) {
      await this.#link.begin()
      const columns = table.columns.map((c) => quote(c.name))
      if (staging !== undefined) columns.push(quote(orderColumn))
      const types = table.columns.map((c) => `${quote(c.name)} ${typeName(c.type)}`)
      const create =
        staging === undefined || stage.begun
          ? ''
          : `CREATE TEMP TABLE ${staging} (${types.join(', ')}, ${quote(orderColumn)} integer) ON COMMIT DROP; `
      stage.begun = true
      const into = staging ?? this.#link.ref(table.name)
      await this.#link.beginCopy(stage, `${create}COPY ${into} (${columns.join(', ')}) FROM STDIN`)
    }
    const { waiting } = stage
    this.#waiting -= stage.bytes
    stage.waiting = []
    stage.bytes = 0
    for (const lines of waiting) await this.#link.sendCopy(lines)
  }

  /** Moves staged rows into their table, of equal keys the last. */
  async #merge(table: Table, staging: string, mayRepeat: boolean): Promise<void> {
    const keys = table.keys.map(quote).join(', ')
    const order = quote(orderColumn)
    const columns = table.columns.map((c) => quote(c.name)).join(', ')
    const twice = `SELECT 1 FROM ${staging} GROUP BY ${keys} HAVING count(*) > 1 LIMIT 1`
    if (mayRepeat && (await this.#link.ask(twice)).length > 0)
      await this.#link.ask(
        `DELETE FROM ${staging} WHERE ${order} IN (SELECT ${order} FROM (SELECT ${order}, row_number() OVER (PARTITION BY ${keys} ORDER BY ${order} DESC) AS n FROM ${staging}) s WHERE n > 1)`,
      )
    const set = table.columns
      .filter((c) => !table.keys.includes(c.name))
      .map((c) => `${quote(c.name)} = EXCLUDED.${quote(c.name)}`)
    await this.#link.ask(
      `INSERT INTO ${this.#link.ref(table.name)} (${columns}) SELECT ${columns} FROM ${staging} ON CONFLICT (${keys}) DO ${set.length === 0 ? 'NOTHING' : `UPDATE SET ${set.join(', ')}`}`,
    )
  }
}
