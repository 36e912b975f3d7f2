/** The manager that commands here would speak to: whether it answers, can work, takes the token, and is safe to speak to. */
import { once } from 'node:events'
import { connect as connectTls } from 'node:tls'
import { MillraceError, toMillraceError } from '@millrace/sdk'
import type { ManagerClient } from '@millrace/sdk/manager'
import type { CommandContext } from '../command/context.ts'
import { connect } from '../manager/connect.ts'
import { counted, duration, moment } from '../terminal/format.ts'
import type { Finding } from './finding.ts'

const waitMs = 5_000
/** Tokens are refused where the clocks differ by more. */
const maxSkewMs = 60_000
const certificateDays = 21
const dayMs = 86_400_000

/** Looks at the manager; one line where none is known, which need not be. Never throws. */
export const managerFindings = async (
  context: Pick<CommandContext, 'cwd' | 'env'>,
  version: string,
): Promise<readonly Finding[]> => {
  let client: ManagerClient
  try {
    client = connect(context)
  } catch (e) {
    const { code, message, fix } = toMillraceError(e)
    return code === 'MANAGER_UNKNOWN' && (context.env['MILLRACE_URL'] ?? '') === ''
      ? [{ what: 'manager', is: 'missing', found: 'none is known here', fix: 'Not needed; `millrace up` starts one.' }]
      : [{ what: 'manager', is: 'bad', found: message, fix }]
  }
  const reached = await reach(client)
  const { url } = client
  if (reached.finding.is === 'bad') return [reached.finding, ...(await certificate(url))]
  return [
    reached.finding,
    ...(await certificate(url)),
    await login(client),
    ...clock(reached.answeredAt),
    ...(await sameVersion(client, version)),
  ]
}

/** Its readiness: it asks its control plane and its log. */
const reach = async (
  client: ManagerClient,
): Promise<{ readonly finding: Finding; readonly answeredAt: string | null }> => {
  const what = 'manager'
  try {
    const response = await client.get('/ready', AbortSignal.timeout(waitMs))
    const { url } = client
    const answeredAt = response.headers.get('date')
    await response.body?.cancel()
    if (response.ok)
      return { finding: { what, is: 'good', found: `${url}, with its control plane and its log` }, answeredAt }
    const found = `${url} answers ${response.status}: it cannot reach its control plane or its log`
    const fix = 'Its own log says which. Where it is full: free some space on its disk.'
    return { finding: { what, is: 'bad', found, fix }, answeredAt }
  } catch (e) {
    const why = reasonOf(e)
    const fix = 'Is it running (`millrace up`)? Is the address right, and reachable from here?'
    return { finding: { what, is: 'bad', found: `${client.url} does not answer (${why})`, fix }, answeredAt: null }
  }
}

const reasonOf = (failure: unknown): string => {
  const e = failure instanceof MillraceError ? failure.cause : failure
  if (e instanceof Error && e.name === 'TimeoutError') return `nothing within ${duration(waitMs)}`
  const cause = e instanceof Error ? (e.cause as NodeJS.ErrnoException | undefined) : undefined
  return cause?.code ?? cause?.message ?? (e instanceof Error ? e.message : String(e))
}

const isLocal = (host: string): boolean => /^(localhost|127\.[\d.]+|\[::1\])$/.test(host)

/** How long its certificate is good; without TLS, whether others can listen. */
const certificate = async (url: string): Promise<readonly Finding[]> => {
  const what = 'TLS'
  const { protocol, hostname, port } = new URL(url)
  if (protocol === 'http:')
    return isLocal(hostname)
      ? []
      : [
          {
            what,
            is: 'bad',
            found: `${url} is http: the token and all records can be read on the way`,
            fix: 'Start it with --tls-cert and --tls-key, or put it behind something that speaks https.',
          },
        ]
  // Looked at whatever it is worth; whether it is trusted the request above has said.
  const socket = connectTls({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port === '' ? 443 : port),
    servername: /[a-z]/i.test(hostname) && !hostname.startsWith('[') ? hostname : '',
    rejectUnauthorized: false,
    timeout: waitMs,
  })
  socket.once('timeout', () => socket.destroy(new Error('no answer')))
  try {
    await once(socket, 'secureConnect')
    const until = new Date(socket.getPeerCertificate().valid_to)
    const left = Math.floor((until.getTime() - Date.now()) / dayMs)
    const fix = 'Get a new certificate and start the manager with it.'
    if (left < 0) return [{ what, is: 'bad', found: `the certificate expired on ${moment(until)}`, fix }]
    if (left < certificateDays)
      return [
        { what, is: 'bad', found: `the certificate expires in ${counted(left, 'day')}, on ${moment(until)}`, fix },
      ]
    return [{ what, is: 'good', found: `the certificate is good until ${moment(until)}` }]
  } catch {
    // That it cannot be reached is said already.
    return []
  } finally {
    socket.destroy()
  }
}

const login = async (client: ManagerClient): Promise<Finding> => {
  const what = 'login'
  try {
    const me = await client.call('getMe', { signal: AbortSignal.timeout(waitMs) })
    const until = me.expiresAt === null ? '' : `, until ${moment(me.expiresAt)}`
    return { what, is: 'good', found: `${me.type} ${me.displayName}${until}` }
  } catch (e) {
    const { message, fix } = e instanceof MillraceError ? e : toMillraceError(e)
    return { what, is: 'bad', found: message, fix }
  }
}

const clock = (answeredAt: string | null): readonly Finding[] => {
  const theirs = Date.parse(answeredAt ?? '')
  if (Number.isNaN(theirs)) return []
  // The header has whole seconds.
  const skewMs = Math.max(0, Math.abs(Date.now() - theirs) - 1_000)
  if (skewMs <= maxSkewMs) return [{ what: 'clock', is: 'good', found: 'the manager’s is the same' }]
  return [
    {
      what: 'clock',
      is: 'bad',
      found: `this machine and the manager differ by ${duration(skewMs)}`,
      fix: 'Set the one that is wrong (NTP): times of records, retention and logins go by them.',
    },
  ]
}

const sameVersion = async (client: ManagerClient, version: string): Promise<readonly Finding[]> => {
  const what = 'version'
  try {
    const response = await client.get('/openapi.json', AbortSignal.timeout(waitMs))
    const { info } = (await response.json()) as { readonly info?: { readonly version?: unknown } }
    const theirs = String(info?.version)
    return theirs === version
      ? [{ what, is: 'good', found: `the manager is ${theirs}, as this is` }]
      : [
          {
            what,
            is: 'missing',
            found: `the manager is ${theirs}, this is ${version}`,
            fix: 'Bring both to the same version.',
          },
        ]
  } catch (e) {
    return [{ what, is: 'missing', found: `the manager does not say (${reasonOf(e)})` }]
  }
}
