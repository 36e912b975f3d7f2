import type { ControlPlane } from '../control-plane.ts'
import { SqlAudit } from './audit.ts'
import { SqlBatches } from './batches.ts'
import { SqlClients } from './clients.ts'
import { SqlGroups } from './groups.ts'
import { SqlIdempotency } from './idempotency.ts'
import { SqlStreamParts } from './parts.ts'
import { SqlPermissions } from './permissions.ts'
import { SqlReadStatus } from './read-status.ts'
import type { Sql } from './sql.ts'
import { storable } from './storable.ts'
import { SqlStreams } from './streams.ts'
import { SqlSubscriptions } from './subscriptions.ts'
import { SqlTokens } from './tokens.ts'
import { SqlUsers } from './users.ts'

/** The control plane on a database that speaks SQL. */
export class SqlControlPlane implements ControlPlane {
  readonly #sql: Sql
  readonly streams: SqlStreams
  readonly permissions: SqlPermissions
  readonly clients: SqlClients
  readonly users: SqlUsers
  readonly readStatus: SqlReadStatus
  readonly groups: SqlGroups
  readonly parts: SqlStreamParts
  readonly batches: SqlBatches
  readonly subscriptions: SqlSubscriptions
  readonly tokens: SqlTokens
  readonly idempotency: SqlIdempotency
  readonly audit: SqlAudit

  constructor(database: Sql) {
    const sql = storable(database)
    this.#sql = sql
    this.streams = new SqlStreams(sql)
    this.permissions = new SqlPermissions(sql)
    this.clients = new SqlClients(sql)
    this.users = new SqlUsers(sql)
    this.readStatus = new SqlReadStatus(sql)
    this.groups = new SqlGroups(sql)
    this.parts = new SqlStreamParts(sql)
    this.batches = new SqlBatches(sql)
    this.subscriptions = new SqlSubscriptions(sql)
    this.tokens = new SqlTokens(sql)
    this.idempotency = new SqlIdempotency(sql)
    this.audit = new SqlAudit(sql)
  }

  async sweep(at: Date): Promise<void> {
    const before = at.getTime()
    await this.#sql.write(async (tx) => {
      await tx.run('delete from revoked_token where expires_at <= ?', before)
      await tx.run('delete from idempotency where expires_at <= ?', before)
      await tx.run('update account set login_hash = null, login_expires_at = null where login_expires_at <= ?', before)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sql[Symbol.asyncDispose]()
  }
}
