/** Opens connections to PostgreSQL as libpq would: TLS by `sslmode`, one error in our words. */
import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { MillraceError, systemCode } from '@millrace/sdk'
import type { Client, ClientConfig } from 'pg'
import { type Side, translatePostgres } from './failures.ts'
import { type ConnectionTarget, nameOf, type SslMode } from './settings.ts'

const CONNECT_MS = 30_000

/**
 * Connects. Throws SOURCE_* or DESTINATION_* errors, by `side`. Who takes the client ends it. `replication`: it speaks the streaming
 * replication protocol, of which pg understands plain statements only.
 */
export const connectPostgres = async (
  target: ConnectionTarget,
  side: Side,
  { replication }: { readonly replication: boolean } = { replication: false },
): Promise<Client> => {
  const { Client: PgClient } = (await import('pg')).default
  const mode = target.sslmode ?? (process.env['PGSSLMODE'] as SslMode | undefined)
  const local = target.host?.startsWith('/') === true
  const attempt = async (ssl: ConnectionOptions | false): Promise<Client> => {
    const client = new PgClient({ ...configOf(target, ssl), ...(replication ? { replication: 'database' } : {}) })
    // An error between two calls is told by the next call.
    client.on('error', () => {})
    try {
      await client.connect()
      return client
    } catch (e) {
      await client.end().catch(() => {})
      throw e
    }
  }
  try {
    if (mode === 'disable' || local) return await attempt(false)
    if (mode !== undefined && mode !== 'prefer' && mode !== 'allow') return await attempt(tlsOf(target, mode))
    try {
      return await attempt(tlsOf(target, 'prefer'))
    } catch (e) {
      if (!/does not support SSL/.test((e as Error).message)) throw e
      return await attempt(false)
    }
  } catch (e) {
    throw translatePostgres(e, { what: nameOf(target), side })
  }
}

const configOf = (target: ConnectionTarget, ssl: ConnectionOptions | false): ClientConfig => {
  const { host, port, user, password, database, options, applicationName } = target
  return {
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(database === undefined ? {} : { database }),
    ...(options === undefined ? {} : { options }),
    application_name: applicationName ?? 'millrace',
    connectionTimeoutMillis: target.connectSeconds === undefined ? CONNECT_MS : target.connectSeconds * 1000,
    keepAlive: true,
    ssl,
  }
}

const tlsOf = (target: ConnectionTarget, mode: SslMode): ConnectionOptions => {
  const read = (path: string | undefined): Buffer | undefined => (path === undefined ? undefined : fileOf(path))
  const ca = read(target.sslrootcert ?? process.env['PGSSLROOTCERT'])
  const cert = read(target.sslcert)
  const key = read(target.sslkey)
  const checks = mode === 'verify-full' || mode === 'verify-ca' || (mode === 'require' && ca !== undefined)
  return {
    rejectUnauthorized: checks,
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  }
}

const fileOf = (path: string): Buffer => {
  try {
    return readFileSync(path)
  } catch (e) {
    throw new MillraceError(
      'CONFIG_INVALID',
      {
        what: 'the connection to PostgreSQL',
        problems: [`the file ${path} cannot be read (${systemCode(e) ?? 'it failed'})`],
      },
      { cause: e },
    )
  }
}
