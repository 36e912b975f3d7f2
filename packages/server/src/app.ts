/** The composition root of the manager: everything is built here, and handed to what uses it. */
import { randomBytes, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { createSecureContext } from 'node:tls'
import { RabbitEngine, SqliteEngine, type StreamEngine } from '@millrace/engine'
import { type Logger, MillraceError, systemCode } from '@millrace/sdk'
import { addApi } from './api/index.ts'
import { Followers } from './api/follow/followers.ts'
import { Tails } from './api/follow/tails.ts'
import { deadLetterBody, pushBody } from './api/subscriptions/bodies.ts'
import { addStitchImport } from './compat/stitch-import/index.ts'
import { addStreamDuo } from './compat/streamduo/index.ts'
import { auditStep, type ControlPlane } from './control/control-plane.ts'
import { controlFile, openSqliteControlPlane } from './control/engines/sqlite/index.ts'
import { type Principal, scopes } from './domain/access.ts'
import { type Random, uuidv7 } from './domain/ids.ts'
import { type Limits, limits as defaultLimits } from './http/limits.ts'
import { Metrics } from './http/metrics.ts'
import { createHttp, type Http } from './http/server.ts'
import { Tokens } from './http/tokens.ts'
import { ManagerFolder } from './manager/folder.ts'
import { schemaCompiler } from './schemas/index.ts'
import { LoginService } from './streams/login-service.ts'
import { openStreamService } from './streams/service.ts'
import { SubscriptionService } from './subscriptions/subscription-service.ts'
import { SubscriptionSupervisor } from './subscriptions/supervisor.ts'

export interface ManagerOptions {
  /** The folder whose `.millrace` holds what the manager keeps. */
  readonly projectDir: string
  /** HOST:PORT; port 0 is any that is free. Default 127.0.0.1:4480. */
  readonly listen?: string | undefined
  /** Where the control plane is; left out: a SQLite file in the folder. */
  readonly controlUrl?: string | undefined
  /** Where the records are; left out: a SQLite file in the folder. */
  readonly logUrl?: string | undefined
  /** Files with certificate and key, PEM. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string } | undefined
  readonly limits?: Partial<Limits> | undefined
  /** Subscriptions may push to addresses that are not of the public internet, and without TLS. */
  readonly privateWebhooks?: boolean | undefined
  /** Lines of the audit log are forgotten after so many days; left out: never. */
  readonly auditDays?: number | undefined
  readonly version: string
  readonly log: Logger
  readonly now?: (() => Date) | undefined
}

export interface Manager {
  readonly url: string
  /** At the first start: logs the administrator in, once. */
  readonly oneTimeLogin: string | undefined
  /** Ends what goes on, waits for what was begun, and lets go of the folder. */
  close(): Promise<void>
}

export const defaultListen = '127.0.0.1:4480'
/** How long requests that were begun may take when the manager stops. */
const stopMs = 5_000
const sweepMs = 60_000
const dayMs = 86_400_000
/** How often it is looked what is beyond the retention of its stream. */
const retainMs = 10_000

/**
 * Starts a manager; it is ready when this resolves. Throws MANAGER_RUNNING, MANAGER_NOT_STARTED, and what its control plane and log
 * throw where they cannot be opened.
 */
export const startManager = async (options: ManagerOptions): Promise<Manager> => {
  const now = options.now ?? (() => new Date())
  const limits = { ...defaultLimits, ...options.limits }
  const address = parseListen(options.listen ?? defaultListen)
  const tls = readTls(options.tls)
  await using opened = new AsyncDisposableStack()
  const folder = opened.use(ManagerFolder.take(options.projectDir))
  const control = opened.use(await openControl(options))
  const engine = opened.use(await openEngine(options, folder, now))
  const followers = new Followers()
  const service = opened.use(
    await openStreamService({
      control,
      engine,
      now,
      random,
      schemas: schemaCompiler,
      rightsChanged: async (actor) => await followers.look(actor),
    }),
  )
  const supervisor = opened.use(
    new SubscriptionSupervisor({
      plane: control.subscriptions,
      service,
      holder: uuidv7(now(), random),
      encode: pushBody(service),
      encodeDeadLetter: deadLetterBody(service),
      clock: {
        now,
        random: Math.random,
        sleep: async (ms, signal) => await pause(ms, undefined, { signal, ref: false }),
      },
      mayBePrivate: options.privateWebhooks === true,
      log: options.log,
    }),
  )
  const subscriptions = new SubscriptionService({
    plane: control.subscriptions,
    service,
    now,
    random,
    mayBePrivate: options.privateWebhooks === true,
    changed: () => supervisor.nudge(),
  })
  const logins = new LoginService({ control, now, random })
  const first = await logins.firstAdministrator()
  const administrator = await findAdministrator(control)

  const metrics = new Metrics()
  const ticks = (): number => performance.now()
  const newId = (): string => uuidv7(now(), random)
  const tokens = new Tokens({ logins, now, newId, revoked: async (actor) => await followers.look(actor) })
  const localToken = `local_${randomBytes(32).toString('base64url')}`
  tokens.local = { text: localToken, principal: administrator }
  const app = await createHttp({
    tokens,
    limits,
    metrics,
    log: options.log,
    ticks,
    version: options.version,
    newId,
    tls,
  })
  const closing = new AbortController()
  const tails = new Tails(service, limits.followerBytes)
  processGauges(metrics)
  addApi(
    app,
    {
      service,
      subscriptions,
      logins,
      tokens,
      tails,
      followers,
      limits,
      metrics,
      log: options.log,
      ticks,
      closing: closing.signal,
    },
    async () => {
      await Promise.all([logins.signingKeys(), engine.list().next()])
    },
  )
  addStreamDuo(app, { service })
  addStitchImport(app, {
    service,
    logins,
    tokens,
    version: options.version,
    bodyIdleMs: limits.bodyIdleMs,
    loadCompile: async () => (await import('./schemas/json-schema.ts')).jsonSchemaCheck,
    thread: new URL(import.meta.resolve('@millrace/server/stitch-import-thread')),
  })
  await listen(app, address)
  const url = urlOf(app, address.host, tls !== undefined)
  folder.leaveNote({
    url,
    token: localToken,
    ...(tls === undefined ? {} : { certificate: new X509Certificate(tls.cert).toString() }),
    pid: process.pid,
    startedAt: now().toISOString(),
  })

  const sweepAll = async (): Promise<void> => {
    await control.sweep(now())
    const { auditDays } = options
    if (auditDays === undefined) return
    const before = new Date(now().getTime() - auditDays * dayMs)
    while ((await control.audit.forgetBefore(before)) === auditStep);
  }
  const sweepNow = (): void => {
    sweepAll().catch((e: unknown) => {
      if (!closing.signal.aborted) options.log.warn('could not sweep', { why: String(e) })
    })
  }
  const sweep = setInterval(sweepNow, sweepMs)
  sweepNow()
  sweep.unref()
  const hindered = (stream: string, why: unknown): void => {
    if (!closing.signal.aborted) options.log.warn('could not trim a stream', { stream, why: String(why) })
  }
  let isRetaining = false
  const retainNow = async (): Promise<void> => {
    if (isRetaining) return
    isRetaining = true
    await engine.retain(now(), hindered).catch((e: unknown) => hindered('all', e))
    isRetaining = false
  }
  const retain = setInterval(() => void retainNow(), retainMs)
  retain.unref()
  const held = opened.move()
  let closed: Promise<void> | undefined
  const close = async (): Promise<void> => {
    clearInterval(sweep)
    clearInterval(retain)
    closing.abort()
    const timer = setTimeout(() => app.server.closeAllConnections(), stopMs)
    try {
      await app.close()
    } finally {
      clearTimeout(timer)
      await held.disposeAsync()
    }
  }
  return {
    url,
    oneTimeLogin: first?.login,
    close: async () => {
      closed ??= close()
      await closed
    },
  }
}

interface Address {
  readonly host: string
  readonly port: number
}

/** HOST:PORT, [IPv6]:PORT or a port alone. Throws MANAGER_NOT_STARTED. */
const parseListen = (text: string): Address => {
  const [, bracketed, plain, digits] = /^(?:(?:\[([^\]]+)\]|([^:[\]]*)):)?(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? (plain === undefined || plain === '' ? '127.0.0.1' : plain)
  const port = Number(digits)
  if (digits === undefined || port > 65_535)
    throw new MillraceError('MANAGER_NOT_STARTED', {
      why: `"${text}" is no address to listen at`,
      fix: `Say HOST:PORT, as ${defaultListen} or 0.0.0.0:443.`,
    })
  return { host, port }
}

const readTls = (files: ManagerOptions['tls']): { readonly cert: Buffer; readonly key: Buffer } | undefined => {
  if (files === undefined) return undefined
  const read = (file: string): Buffer => {
    try {
      return readFileSync(file)
    } catch (e) {
      throw new MillraceError('MANAGER_NOT_STARTED', {
        why: `${file} cannot be read (${systemCode(e) ?? 'it failed'})`,
        fix: 'Give the files of the certificate and its key, PEM.',
      })
    }
  }
  const pair = { cert: read(files.certFile), key: read(files.keyFile) }
  try {
    createSecureContext(pair)
  } catch (e) {
    // In words of OpenSSL: "no start line", "key values mismatch".
    const why = e instanceof Error ? e.message.replace(/^error:[0-9A-F]+:/i, '') : String(e)
    throw new MillraceError(
      'MANAGER_NOT_STARTED',
      {
        why: `${files.certFile} and ${files.keyFile} are no certificate and its key (${why})`,
        fix: 'Give the certificate, with its chain, as --tls-cert and the key that belongs to it as --tls-key, both PEM and without a passphrase.',
      },
      { cause: e },
    )
  }
  return pair
}

const listen = async (app: Http, { host, port }: Address): Promise<void> => {
  try {
    await app.listen({ host, port })
  } catch (e) {
    const code = systemCode(e)
    const why =
      code === 'EADDRINUSE'
        ? `something listens at ${host}:${port} already`
        : code === 'EACCES'
          ? `${host}:${port} may not be listened at`
          : `${host}:${port}: ${e instanceof Error ? e.message : String(e)}`
    throw new MillraceError(
      'MANAGER_NOT_STARTED',
      { why, fix: 'Choose another address with --listen HOST:PORT.' },
      { cause: e },
    )
  }
}

const urlOf = (app: Http, host: string, isTls: boolean): string => {
  const found = app.server.address()
  const port = typeof found === 'object' && found !== null ? found.port : 0
  // Whoever listens everywhere is reached here, too.
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : isIP(host) === 6 ? `[${host}]` : host
  return `${isTls ? 'https' : 'http'}://${name}:${port}`
}

const random: Random = { bytes: (count) => randomBytes(count) }

const openControl = async (options: ManagerOptions): Promise<ControlPlane> => {
  if (options.controlUrl === undefined) return await openSqliteControlPlane(controlFile(options.projectDir))
  if (/^postgres(ql)?:/.test(options.controlUrl)) {
    const { openPostgresControlPlane } = await import('./control/engines/postgres/index.ts')
    return await openPostgresControlPlane({ url: options.controlUrl })
  }
  throw new MillraceError('MANAGER_NOT_STARTED', {
    why: 'a control plane of this kind is not known',
    fix: 'Say postgresql://…, or leave it out.',
  })
}

const openEngine = async (options: ManagerOptions, folder: ManagerFolder, now: () => Date): Promise<StreamEngine> => {
  if (options.logUrl === undefined) return await SqliteEngine.open({ path: join(folder.path, 'streams.db'), now })
  if (/^amqps?:/.test(options.logUrl)) return await RabbitEngine.open({ url: options.logUrl, now })
  throw new MillraceError('MANAGER_NOT_STARTED', {
    why: 'a log of this kind is not known',
    fix: 'Say amqp://… or amqps://… for RabbitMQ, or leave it out.',
  })
}

/** On whose behalf the private note of the folder lets one act. */
const findAdministrator = async (control: ControlPlane): Promise<Principal> => {
  let after: string | undefined
  do {
    const page = await control.users.list({ after })
    const found = page.items.find((user) => user.isAdministrator)
    if (found !== undefined) return { type: 'user', id: found.id, scopes, isAdministrator: true }
    after = page.next
  } while (after !== undefined)
  throw new MillraceError('MANAGER_NOT_STARTED', { why: 'its control plane has no administrator' })
}

const processGauges = (metrics: Metrics): void => {
  metrics.gauge('process_resident_memory_bytes', 'Memory of the manager.', () => process.memoryUsage.rss())
  metrics.gauge('process_cpu_seconds_total', 'Processor time of the manager.', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  metrics.gauge('process_uptime_seconds', 'How long the manager runs.', () => process.uptime())
}
