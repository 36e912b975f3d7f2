/** How a PostgreSQL server is named: a URL, libpq's words, or single settings; what none of them says, PG* variables do. */
import { choice, type Field, MillraceError, text, whole } from '@millrace/sdk'

const sslModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
export type SslMode = (typeof sslModes)[number]

export interface PostgresSettings {
  readonly url: string | undefined
  readonly host: string | undefined
  readonly port: number | undefined
  readonly user: string | undefined
  readonly password: string | undefined
  readonly database: string | undefined
  readonly sslmode: SslMode | undefined
  readonly sslrootcert: string | undefined
}

export type PostgresSettingFields = { readonly [K in keyof PostgresSettings]: Field<PostgresSettings[K]> }

/** Declares where the server is; what goes into which schema is the connector's own. */
export const postgresSettings: PostgresSettingFields = {
  url: text({
    doc: 'The database, as a URL or in the words of libpq; wins over the single settings',
    secret: true,
    optional: true,
    aliases: ['sqlalchemy_url', 'connection_string', 'dsn'],
    example: 'postgresql://loader:…@db.example.com/warehouse',
  }),
  host: text({ doc: 'The server, or the folder of its socket (else PGHOST, localhost)', optional: true }),
  port: whole({ doc: 'Its port (else PGPORT, 5432)', min: 1, max: 65_535, optional: true }),
  user: text({ doc: 'Who connects (else PGUSER, your name)', aliases: ['username'], optional: true }),
  password: text({ doc: 'The password (else PGPASSWORD, ~/.pgpass)', secret: true, optional: true }),
  database: text({ doc: 'The database (else PGDATABASE, the user)', aliases: ['dbname'], optional: true }),
  sslmode: choice(sslModes, {
    doc: 'Whether TLS is used, and what is checked, as in libpq (else PGSSLMODE, prefer)',
    aliases: ['ssl_mode'],
    optional: true,
  }),
  sslrootcert: text({
    doc: 'A file with the certificates of those who may vouch for the server',
    aliases: ['ssl_certificate_authority'],
    optional: true,
  }),
}

/** A connection as it is to be made; what is undefined is left to PG* variables and their defaults. */
export interface ConnectionTarget {
  readonly host: string | undefined
  readonly port: number | undefined
  readonly user: string | undefined
  readonly password: string | undefined
  readonly database: string | undefined
  readonly sslmode: SslMode | undefined
  readonly sslrootcert: string | undefined
  readonly sslcert: string | undefined
  readonly sslkey: string | undefined
  readonly options: string | undefined
  readonly applicationName: string | undefined
  readonly connectSeconds: number | undefined
}

const wrong = (why: string): MillraceError =>
  new MillraceError('CONFIG_INVALID', { what: 'the connection to PostgreSQL', problems: [`url ${why}`] })

/** Brings the settings together. Throws CONFIG_INVALID for a URL that is none; never shows it, for it may hold a password. */
export const targetOf = (settings: PostgresSettings): ConnectionTarget => {
  const said = settings.url === undefined ? new Map<string, string>() : wordsOf(settings.url)
  const of = (word: string): string | undefined => {
    const value = said.get(word)
    return value === '' ? undefined : value
  }
  const port = of('port')
  if (port !== undefined && !/^[0-9]{1,5}$/.test(port)) throw wrong('has a port that is no number')
  const sslmode = of('sslmode')
  if (sslmode !== undefined && !sslModes.includes(sslmode as SslMode))
    throw wrong(`asks for sslmode ${sslmode}; there are ${sslModes.join(', ')}`)
  const host = of('host') ?? settings.host
  if (host?.includes(',') === true) throw wrong('names several hosts: give one')
  return {
    host,
    port: port === undefined ? settings.port : Number(port),
    user: of('user') ?? settings.user,
    password: of('password') ?? settings.password,
    database: of('dbname') ?? settings.database,
    sslmode: (sslmode as SslMode | undefined) ?? settings.sslmode,
    sslrootcert: of('sslrootcert') ?? settings.sslrootcert,
    sslcert: of('sslcert'),
    sslkey: of('sslkey'),
    options: of('options'),
    applicationName: of('application_name'),
    connectSeconds: of('connect_timeout') === undefined ? undefined : Number(of('connect_timeout')),
  }
}

/** The server's and the database's name, for errors and logs: no user, no password. */
export const nameOf = (target: ConnectionTarget): string =>
  `PostgreSQL ${target.host ?? 'server'}${target.port === undefined ? '' : `:${target.port}`}${target.database === undefined ? '' : `/${target.database}`}`

/** libpq's words out of a URL or of `host=… dbname=…`. */
const wordsOf = (url: string): Map<string, string> => {
  if (/^postgres(ql)?(\+[a-z0-9]+)?:\/\//i.test(url)) return wordsOfUrl(url)
  if (/^\s*[a-z_]+\s*=/.test(url)) return wordsOfDsn(url)
  throw wrong('must begin with postgresql:// (or be libpq words: host=… dbname=…)')
}

const wordsOfUrl = (url: string): Map<string, string> => {
  const m = /^[^:]+:\/\/(?:([^@/?]*)@)?(\[[^\]]*\]|[^:/?@]*)(?::([0-9]*))?(?:\/([^?]*))?(?:\?(.*))?$/.exec(url)
  if (m === null) throw wrong('cannot be read: letters such as @ : / ? in a password are written %40 %3A %2F %3F')
  const words = new Map<string, string>()
  const [user = '', ...password] = (m[1] ?? '').split(':')
  words.set('user', decoded(user))
  if (password.length > 0) words.set('password', decoded(password.join(':')))
  words.set('host', decoded(m[2] ?? '').replace(/^\[|\]$/g, ''))
  words.set('port', m[3] ?? '')
  words.set('dbname', decoded(m[4] ?? ''))
  for (const [name, value] of new URLSearchParams(m[5] ?? '')) words.set(name, value)
  return words
}

const decoded = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    throw wrong('has a % that begins no character: a % itself is written %25')
  }
}

const wordsOfDsn = (text: string): Map<string, string> => {
  const words = new Map<string, string>()
  const pattern = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?:\s+|$)/gy
  let at = 0
  while (at < text.length) {
    pattern.lastIndex = at
    const m = pattern.exec(text)
    if (m === null) throw wrong('cannot be read as libpq words: host=… dbname=… user=…')
    words.set(m[1] ?? '', (m[2] ?? m[3] ?? '').replaceAll(/\\(.)/g, '$1'))
    at = pattern.lastIndex
  }
  return words
}
