/** PostgreSQL for tests: a fresh database on the server that is there, or a server of one's own with its own settings. */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chownSync, existsSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { answers, freePort, install, OwnServer, userIds } from '@millrace/sdk/testing'

const PORT = 5432
const START_MS = 30_000
const HOST = '127.0.0.1'

/** A database of one test file, dropped when it is disposed of. */
export interface TestDatabase extends AsyncDisposable {
  readonly name: string
  /** As the superuser. */
  readonly url: string
  /** The URL for another user. */
  readonly urlFor: (user: string, password?: string) => string
  /** Asks as the superuser; rows as objects. */
  readonly query: (sql: string, values?: readonly unknown[]) => Promise<readonly Readonly<Record<string, unknown>>[]>
}

/** A server, or the reason why there is none: `test(…, { skip: server.skip }, …)`. */
export interface PostgresServer {
  readonly skip: string | false
  readonly port: number
  readonly url: (database: string) => string
  /** Makes a database with a unique name. */
  readonly database: () => Promise<TestDatabase>
}

/** A server of one's own, which may be stopped and started. Ends when it is disposed of, or with this process. */
export interface PostgresCluster extends PostgresServer, AsyncDisposable {
  readonly dataFolder: string
  /** Ends it without a word, as a power cut does. */
  readonly stop: () => Promise<void>
  /** Starts it again; resolves when it answers. */
  readonly start: () => Promise<void>
}

/** How a cluster is to be: lines of postgresql.conf, and lines of pg_hba.conf before the one that trusts everybody. */
export interface ClusterOptions {
  readonly settings?: Readonly<Record<string, string>>
  readonly hba?: readonly string[]
  /** Files put into its data folder, with the rights that keys need. */
  readonly files?: Readonly<Record<string, string>>
}

class Server implements PostgresServer {
  readonly skip: string | false
  readonly port: number
  constructor(port: number, skip: string | false = false) {
    this.port = port
    this.skip = skip
  }

  readonly url = (database: string): string => `postgresql://postgres@${HOST}:${this.port}/${database}`

  readonly database = async (): Promise<TestDatabase> => {
    if (this.skip !== false) throw new Error(this.skip)
    const name = `millrace_test_${randomBytes(6).toString('hex')}`
    await this.#asked(
      'postgres',
      `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`,
    )
    return {
      name,
      url: this.url(name),
      urlFor: (user, password) =>
        `postgresql://${user}${password === undefined ? '' : `:${encodeURIComponent(password)}`}@${HOST}:${this.port}/${name}`,
      query: (sql, values) => this.#asked(name, sql, values),
      [Symbol.asyncDispose]: async () => {
        await this.#asked('postgres', `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
      },
    }
  }

  async #asked(
    database: string,
    sql: string,
    values: readonly unknown[] = [],
  ): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const client = new Client({ connectionString: this.url(database) })
    client.on('error', () => {})
    await client.connect()
    try {
      const result: unknown = values.length === 0 ? await client.query(sql) : await client.query(sql, [...values])
      const last = (Array.isArray(result) ? result.at(-1) : result) as { rows: Record<string, unknown>[] }
      return last.rows
    } finally {
      await client.end()
    }
  }

  /** Whether it lets the superuser in. */
  async trusts(): Promise<boolean> {
    try {
      await this.#asked('postgres', 'SELECT 1')
      return true
    } catch {
      return false
    }
  }
}

class Cluster extends Server implements PostgresCluster {
  readonly dataFolder: string
  readonly #server: OwnServer
  constructor(port: number, dataFolder: string, server: OwnServer) {
    super(port)
    this.dataFolder = dataFolder
    this.#server = server
  }

  readonly stop = async (): Promise<void> => {
    await this.#server.stop()
  }

  readonly start = async (): Promise<void> => {
    await this.#server.start()
    await this.ready()
  }

  /** Resolves when it lets the superuser in. */
  async ready(): Promise<void> {
    for (const end = performance.now() + START_MS; ; ) {
      if (await this.trusts()) return
      if (performance.now() > end) throw new Error(`PostgreSQL did not start: ${this.#server.log}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
  }
}

class NoCluster extends Server implements PostgresCluster {
  readonly dataFolder = ''
  readonly stop = async (): Promise<void> => {}
  readonly start = async (): Promise<void> => {}
  async [Symbol.asyncDispose](): Promise<void> {}
}

const NEEDS = 'needs PostgreSQL: on port 5432 of loopback with trust for postgres, or root on Debian to install it'

/** Where initdb and postgres are; installs them where that can be done. */
const programs = (): string | undefined => {
  const root = '/usr/lib/postgresql'
  const find = (): string | undefined =>
    (existsSync(root) ? readdirSync(root) : [])
      .sort((a, b) => Number(b) - Number(a))
      .map((version) => join(root, version, 'bin'))
      .find((folder) => existsSync(join(folder, 'initdb')))
  return find() ?? (install(['postgresql']) ? find() : undefined)
}

/** The server for tests that need nothing special of it. */
export const findPostgres = async (): Promise<PostgresServer> => {
  const server = new Server(PORT)
  if ((await answers(PORT)) && (await server.trusts())) return server
  return await startCluster()
}

/** Who runs servers: none of them runs as root. Undefined where there is nobody, or no server. */
const host = (): { readonly bin: string; readonly user: ReturnType<typeof userIds> } | undefined => {
  const bin = programs()
  const isRoot = process.getuid?.() === 0
  const user = isRoot ? userIds('postgres') : undefined
  return bin === undefined || (isRoot && user === undefined) ? undefined : { bin, user }
}

const ownFolder = (user: ReturnType<typeof userIds>): string => {
  const folder = mkdtempSync('/tmp/millrace-pg-')
  if (user !== undefined) chownSync(folder, user.uid, user.gid)
  return folder
}

/** Starts a server of one's own, for tests that need settings (`wal_level`), roles, or to stop it. */
export const startCluster = async (options: ClusterOptions = {}): Promise<PostgresCluster> => {
  const found = host()
  if (found === undefined) return new NoCluster(0, NEEDS)
  const { bin, user } = found
  const folder = ownFolder(user)
  const made = spawnSync(
    join(bin, 'initdb'),
    ['-D', folder, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
    { encoding: 'utf8', cwd: '/', ...user },
  )
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`)
  const own = (name: string, text: string, mode: number): void => {
    writeFileSync(join(folder, name), text, { mode })
    if (user !== undefined) chownSync(join(folder, name), user.uid, user.gid)
  }
  for (const [name, text] of Object.entries(options.files ?? {})) own(name, text, 0o600)
  own(
    'pg_hba.conf',
    [...(options.hba ?? []), 'host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust', ''].join(
      '\n',
    ),
    0o600,
  )
  return await serve(found, folder, options.settings)
}

/** Starts a hot standby of a cluster: a server that has all that the other has a moment later, and can only be read. */
export const startStandby = async (
  primary: PostgresCluster,
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresCluster> => {
  const found = host()
  if (found === undefined) return new NoCluster(0, NEEDS)
  const { bin, user } = found
  const folder = ownFolder(user)
  const copied = spawnSync(
    join(bin, 'pg_basebackup'),
    ['-h', HOST, '-p', String(primary.port), '-U', 'postgres', '-D', folder, '-R', '-c', 'fast', '--no-sync'],
    { encoding: 'utf8', cwd: '/', ...user },
  )
  if (copied.status !== 0) throw new Error(`pg_basebackup failed: ${copied.stderr}`)
  return await serve(found, folder, settings)
}

/** Starts a server on a folder of data; resolves when it answers. */
const serve = async (
  { bin, user }: NonNullable<ReturnType<typeof host>>,
  folder: string,
  own: Readonly<Record<string, string>> = {},
): Promise<PostgresCluster> => {
  const port = await freePort()
  const settings = {
    listen_addresses: HOST,
    port: String(port),
    unix_socket_directories: '',
    fsync: 'off',
    shared_buffers: '64MB',
    ...own,
  }
  const server = new OwnServer({
    command: [
      join(bin, 'postgres'),
      '-D',
      folder,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    folder,
    user,
  })
  const cluster = new Cluster(port, folder, server)
  try {
    await cluster.ready()
  } catch (e) {
    await server[Symbol.asyncDispose]()
    throw e
  }
  return cluster
}
