import { MillraceError } from '@millrace/sdk/errors'
import type { Param, Queries, Row, Sql, Transaction } from './sql.ts'

/**
 * Whether both databases keep a text as it is: PostgreSQL has no NUL in texts, and half a surrogate pair would come back as another
 * character.
 */
const isStorable = (param: Param): boolean =>
  typeof param !== 'string' || (param.isWellFormed() && !param.includes('\0'))

class StorableQueries implements Queries {
  readonly #asked: Queries

  constructor(asked: Queries) {
    this.#asked = asked
  }

  async all(sql: string, ...params: readonly Param[]): Promise<readonly Row[]> {
    return params.every(isStorable) ? await this.#asked.all(sql, ...params) : []
  }

  async get(sql: string, ...params: readonly Param[]): Promise<Row | undefined> {
    return params.every(isStorable) ? await this.#asked.get(sql, ...params) : undefined
  }

  async run(sql: string, ...params: readonly Param[]): Promise<number> {
    if (!params.every(isStorable))
      throw new MillraceError('CONTROL_ARGUMENT', { why: 'a text has a NUL in it, or half a surrogate pair' })
    return await this.#asked.run(sql, ...params)
  }
}

class StorableTransaction extends StorableQueries implements Transaction {
  readonly #tx: Transaction

  constructor(tx: Transaction) {
    super(tx)
    this.#tx = tx
  }

  /** What cannot be stored is nothing that anybody else could wait for. */
  async lock(name: string): Promise<void> {
    if (isStorable(name)) await this.#tx.lock(name)
  }
}

/**
 * The same database, which is never given a text that it could not keep: who looks one up finds nothing, who would store one is
 * refused with CONTROL_ARGUMENT.
 */
export const storable = (sql: Sql): Sql => ({
  read: new StorableQueries(sql.read),
  write: (work) => sql.write((tx) => work(new StorableTransaction(tx))),
  [Symbol.asyncDispose]: () => sql[Symbol.asyncDispose](),
})
