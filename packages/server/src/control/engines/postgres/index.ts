import type { ControlPlane } from '../../control-plane.ts'
import { SqlControlPlane } from '../../sql/plane.ts'
import { type PostgresOptions, PostgresSql } from './postgres-sql.ts'

export type { PostgresOptions }

/**
 * The control plane in a schema of a PostgreSQL database (13 or newer), for any number of managers at once. As durable as the server's
 * `synchronous_commit`. Throws CONTROL_UNUSABLE where it is newer or may not be used, CONTROL_UNAVAILABLE where it does not answer.
 */
export const openPostgresControlPlane = async (options: PostgresOptions): Promise<ControlPlane> =>
  new SqlControlPlane(await PostgresSql.open(options))
