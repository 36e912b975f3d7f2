/** The environment of a child: an allow-list, so that what is not its business does not reach it. */

const exact: ReadonlySet<string> = new Set([
  ...[
    'PATH',
    'HOME',
    'USER',
    'LOGNAME',
    'SHELL',
    'LANG',
    'LANGUAGE',
    'TZ',
    'TMPDIR',
    'TEMP',
    'TMP',
    'TERM',
    'NO_COLOR',
    'FORCE_COLOR',
  ],
  // How the network is reached, and whom to trust on it.
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'no_proxy', 'all_proxy'],
  ...['SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_EXTRA_CA_CERTS', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE', 'SSH_AUTH_SOCK'],
  // Where interpreters find their libraries.
  ...[
    'PYTHONPATH',
    'PYTHONHOME',
    'PYTHONIOENCODING',
    'PYTHONUNBUFFERED',
    'PYTHONUTF8',
    'VIRTUAL_ENV',
    'LD_LIBRARY_PATH',
    'DYLD_LIBRARY_PATH',
  ],
  'NODE_OPTIONS',
  // Where PostgreSQL is, as every program that speaks to it reads it.
  ...['PGHOST', 'PGPORT', 'PGUSER', 'PGPASSWORD', 'PGPASSFILE', 'PGDATABASE', 'PGSSLMODE', 'PGSSLROOTCERT'],
])
const prefixes: readonly string[] = ['LC_', 'XDG_', 'GIT_', 'TAP_', 'TARGET_', 'STITCH_', 'MILLRACE_']

/** Whether a variable reaches every child. */
export const isPassedOn = (name: string): boolean => exact.has(name) || prefixes.some((p) => name.startsWith(p))

/** The environment of a child: what the allow-list lets through, the names `also`, then the variables given. */
export const childEnvironment = (
  from: Readonly<Record<string, string | undefined>>,
  given: Readonly<Record<string, string>>,
  also: readonly string[] = [],
): Record<string, string> => {
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(from))
    if (value !== undefined && (isPassedOn(name) || also.includes(name))) env[name] = value
  return { ...env, ...given }
}
