/**
 * Rows on their way into tables. Rows that may replace others go into a staging table of the transaction, all others into
 * their table itself; both by one COPY for as long as nothing else comes between.
 *
 * Where one whole number is the key, a row whose number is higher than all in the table and all that came before replaces none: what
 * comes in the order of its id, as most new things do, costs no more than appending, and of a batch of old and new rows only the old
 * ones are staged. A staged row came later than the row in the table that it replaces: it is merged when both are there.
 */
import type { RowEncoder, Table } from '../../sql/types.ts'
import { CopyWriter, numberLines, type RowCounter, wholeKeyOf } from './copy-rows.ts'
import { orderColumn, quote, typeName } from './dialect.ts'
import type { Link } from './link.ts'
import { RecordRows } from './record-rows.ts'

/** Rows of a table wait until they have so many bytes, so that streams that take turns do not mean a COPY a batch. */
const POUR_BYTES = 256 * 1024
/** The same for staged rows while others of the table go into it directly. */
const MIXED_BYTES = 4 << 20
/** What may wait of all tables together. */
const MAX_WAITING_BYTES = 8 << 20
/** A key of so many characters is exact in a double. */
const MAX_DIGITS = 15
/** How many tables may have memory of their own for plain records, a megabyte each. */
const MAX_PLAIN = 8

/** Lines that go to one place, which one COPY takes. */
interface Way {
  /** Name of the table that takes them. */
  readonly into: string
  waiting: Buffer[]
  bytes: number
  /** Whether lines were sent. */
  begun: boolean
}

/** Rows that go into one table, in its present shape. */
interface Stage {
  readonly table: Table
  readonly signature: string
  readonly direct: Way
  readonly staged: Way
  /** The highest key so far, where a whole number is the key: rows above it are new. Infinite where none can be known to be. */
  highest: number
  /** The last staged key for as long as they rise; else infinite: some may be equal. */
  lastStaged: number
}

const signatureOf = (table: Table): string => JSON.stringify([table.columns.map((c) => [c.name, c.type]), table.keys])

const way = (into: string): Way => ({ into, waiting: [], bytes: 0, begun: false })

export class Stages {
  readonly #link: Link
  readonly #stages = new Map<string, Stage>()
  readonly #counter: RowCounter = { next: 0 }
  readonly #plain = new Map<Table, RecordRows>()
  #waiting = 0
  #nextStaging = 0

  constructor(link: Link) {
    this.#link = link
  }

  encoder(table: Table): RowEncoder {
    return new CopyWriter(table, {
      counter: this.#counter,
      highest: this.#stages.get(table.name)?.highest ?? Number.NEGATIVE_INFINITY,
      open: () => this.#plainOf(table),
    })
  }

  /** What takes plain records of a table: those of the tables that were written last are kept. */
  #plainOf(table: Table): RecordRows {
    const rows = this.#plain.get(table) ?? new RecordRows(table)
    this.#plain.delete(table)
    this.#plain.set(table, rows)
    const [oldest] = this.#plain.keys()
    if (this.#plain.size > MAX_PLAIN && oldest !== undefined) this.#plain.delete(oldest)
    return rows
  }

  /** Takes the rows of an encoder of this table. */
  async add(table: Table, rows: CopyWriter): Promise<void> {
    rows.finish()
    const { direct, staged } = rows
    const stage = await this.#stageOf(table)
    const isNew = table.keys.length === 0 || direct.rows === 0 || direct.first > stage.highest
    if (isNew) await this.#send(stage, stage.direct, direct.lines)
    // Only the first batch of a stage did not know which keys are there. Of equal keys those that seemed new came first.
    else await this.#send(stage, stage.staged, numberLines(direct.lines, -direct.rows))
    await this.#send(stage, stage.staged, staged.lines)
    const last = isNew ? staged : direct
    const rises = last.rises && !(last.first <= stage.lastStaged) && (isNew || staged.rows === 0)
    if (!isNew || staged.rows > 0) stage.lastStaged = rises ? last.last : Number.POSITIVE_INFINITY
    stage.highest = Math.max(stage.highest, rows.highest)
    if (this.#waiting >= MAX_WAITING_BYTES) for (const s of this.#stages.values()) await this.#pourAll(s)
  }

  /** Brings all rows of a table to where they belong: what follows sees them. */
  async settle(table: string): Promise<void> {
    const stage = this.#stages.get(table)
    if (stage === undefined) return
    await this.#pourAll(stage)
    if (this.#link.copiesFor(stage.direct) || this.#link.copiesFor(stage.staged)) await this.#link.endCopy()
    if (stage.staged.begun)
      await this.#merge(stage.table, stage.staged.into, stage.lastStaged === Number.POSITIVE_INFINITY)
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
    if (old !== undefined) {
      if (old.signature === signatureOf(table)) return old
      await this.settle(table.name)
    }
    const stage: Stage = {
      table,
      signature: signatureOf(table),
      direct: way(this.#link.ref(table.name)),
      staged: way(`pg_temp.${quote(`_millrace_stage_${this.#nextStaging++}`)}`),
      highest: wholeKeyOf(table) < 0 ? Number.POSITIVE_INFINITY : await this.#highestKey(table),
      lastStaged: wholeKeyOf(table) < 0 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY,
    }
    this.#stages.set(table.name, stage)
    return stage
  }

  /** The highest key that is there; infinite where a double cannot say it. */
  async #highestKey(table: Table): Promise<number> {
    const [row] = await this.#link.within(
      `SELECT max(${quote(table.keys[0] as string)})::text AS key FROM ${this.#link.ref(table.name)}`,
    )
    const key = row?.['key']
    if (typeof key !== 'string') return Number.NEGATIVE_INFINITY
    return key.length <= MAX_DIGITS ? Number(key) : Number.POSITIVE_INFINITY
  }

  async #send(stage: Stage, to: Way, lines: Buffer): Promise<void> {
    if (lines.length === 0) return
    if (this.#link.copiesFor(to)) return await this.#link.sendCopy(lines)
    to.waiting.push(lines)
    to.bytes += lines.length
    this.#waiting += lines.length
    // Each change from one table to the other ends a COPY.
    if (to.bytes >= (to === stage.staged && stage.direct.begun ? MIXED_BYTES : POUR_BYTES)) await this.#pour(stage, to)
  }

  async #pourAll(stage: Stage): Promise<void> {
    await this.#pour(stage, stage.direct)
    await this.#pour(stage, stage.staged)
  }

  /** Sends what waits; the COPY stays open for more. */
  async #pour({ table, staged }: Stage, to: Way): Promise<void> {
    if (to.bytes === 0) return
    if (!this.#link.copiesFor(to)) {
      await this.#link.begin()
      const columns = table.columns.map((c) => quote(c.name))
      if (to === staged) columns.push(quote(orderColumn))
      const types = table.columns.map((c) => `${quote(c.name)} ${typeName(c.type)}`)
      const create =
        to !== staged || to.begun
          ? ''
          : `CREATE TEMP TABLE ${to.into} (${types.join(', ')}, ${quote(orderColumn)} integer) ON COMMIT DROP; `
      to.begun = true
      await this.#link.beginCopy(to, `${create}COPY ${to.into} (${columns.join(', ')}) FROM STDIN`)
    }
    const { waiting } = to
    this.#waiting -= to.bytes
    to.waiting = []
    to.bytes = 0
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
