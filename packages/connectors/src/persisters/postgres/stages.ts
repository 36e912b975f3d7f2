/**
 * Rows on their way into tables. Rows that replace others go into a staging table of the transaction, all others into their
 * table itself; both by one COPY for as long as nothing else comes between.
 */
import type { RowEncoder, Table } from '../../sql/types.ts'
import { CopyWriter, type RowCounter } from './copy-rows.ts'
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
    return new CopyWriter(table, table.keys.length > 0 ? this.#counter : undefined)
  }

  /** Takes the lines that an encoder of this table made. */
  async add(table: Table, lines: Buffer): Promise<void> {
    const stage = await this.#stageOf(table)
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
    if (stage.begun && stage.staging !== undefined) await this.#merge(stage.table, stage.staging)
    this.#stages.delete(table)
  }

  /** The same for all tables: a commit may follow. */
  async settleAll(): Promise<void> {
    for (const table of [...this.#stages.keys()]) await this.settle(table)
    this.#counter.next = 0
  }

  /** Where rows of this table are gathered. A new shape begins anew. */
  async #stageOf(table: Table): Promise<Stage> {
    const old = this.#stages.get(table.name)
    if (old?.table === table) return old
    const signature = signatureOf(table)
    if (old !== undefined) {
      if (old.signature === signature) return old
      await this.settle(table.name)
    }
    const staging = table.keys.length > 0 ? `pg_temp.${quote(`_millrace_stage_${this.#nextStaging++}`)}` : undefined
    const stage: Stage = { table, signature, staging, waiting: [], bytes: 0, begun: false }
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
      if (staging !== undefined && !stage.begun) {
        const types = table.columns.map((c) => `${quote(c.name)} ${typeName(c.type)}`)
        await this.#link.ask(
          `CREATE TEMP TABLE ${staging} (${types.join(', ')}, ${quote(orderColumn)} integer) ON COMMIT DROP`,
        )
      }
      stage.begun = true
      const into = staging ?? this.#link.ref(table.name)
      await this.#link.beginCopy(stage, `COPY ${into} (${columns.join(', ')}) FROM STDIN`)
    }
    const { waiting } = stage
    this.#waiting -= stage.bytes
    stage.waiting = []
    stage.bytes = 0
    for (const lines of waiting) await this.#link.sendCopy(lines)
  }

  /** Moves staged rows into their table, of equal keys the last. */
  async #merge(table: Table, staging: string): Promise<void> {
    const keys = table.keys.map(quote).join(', ')
    const order = quote(orderColumn)
    const columns = table.columns.map((c) => quote(c.name)).join(', ')
    const twice = await this.#link.ask(`SELECT 1 FROM ${staging} GROUP BY ${keys} HAVING count(*) > 1 LIMIT 1`)
    if (twice.length > 0)
      await this.#link.ask(
        `DELETE FROM ${staging} WHERE ${order} IN (SELECT ${order} FROM (SELECT ${order}, row_number() OVER (PARTITION BY ${keys} ORDER BY ${order} DESC) AS n FROM ${staging}) s WHERE n > 1)`,
      )
    const set = table.columns
      .filter((c) => !table.keys.includes(c.name))
      .map((c) => `${quote(c.name)} = EXCLUDED.${quote(c.name)}`)
    await this.#link.ask(
      `INSERT INTO ${this.#link.ref(table.name)} (${columns}) SELECT ${columns} FROM ${staging} ON CONFLICT (${keys}) DO ${set.length === 0 ? 'NOTHING' : `UPDATE SET ${set.join(', ')}`}`,
    )
    await this.#link.ask(`DROP TABLE ${staging}`)
  }
}
