import { MillraceError } from '@millrace/sdk'
import { defaultListen, startManager } from '@millrace/server'
import type { CommandSource } from '../command/definition.ts'
import { listenForStop } from '../command/stop-signals.ts'
import { version } from '../command/version.ts'
import { storeFolder } from '../project/store.ts'

export const command: CommandSource = {
  doc: 'Starts the manager of streams on the project of this folder and runs until it is stopped. What it keeps is in .millrace.',
  options: [
    { flags: '--listen <address>', doc: `HOST:PORT; port 0 is any that is free (default: ${defaultListen})` },
    {
      flags: '--control-url <url>',
      doc: 'where it keeps streams, clients and grants; postgresql://… (default: a file here; MILLRACE_CONTROL_URL)',
    },
    { flags: '--log-url <url>', doc: 'where records are kept; amqp://… (default: a file here; MILLRACE_LOG_URL)' },
    { flags: '--tls-cert <file>', doc: 'certificate, PEM: serve https (MILLRACE_TLS_CERT)' },
    { flags: '--tls-key <file>', doc: 'its key, PEM (MILLRACE_TLS_KEY)' },
    {
      flags: '--audit-days <n>',
      doc: 'forget lines of the audit log after so many days (default: never; MILLRACE_AUDIT_DAYS)',
    },
    {
      flags: '--private-webhooks',
      doc: 'subscriptions may push to addresses of this machine and its network, and by http (MILLRACE_PRIVATE_WEBHOOKS)',
    },
  ],
  json: true,
  logs: true,
  examples: [
    { run: 'millrace up', does: 'a manager for this machine' },
    { run: 'millrace up --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem', does: 'one for partners' },
  ],
  more: 'At its first start it prints a login that works once, for the administrator: millrace login URL --one-time LOGIN.\nOn this machine, in this folder, no login is needed.',
  run: async ({ options, context }) => {
    const { env } = context
    const cert = options.text('tls-cert') ?? env['MILLRACE_TLS_CERT']
    const key = options.text('tls-key') ?? env['MILLRACE_TLS_KEY']
    if ((cert === undefined) !== (key === undefined))
      throw new MillraceError('COMMAND_USAGE', {
        why: '--tls-cert and --tls-key belong together',
        fix: 'Give both, or neither.',
      })
    using signals = listenForStop()
    const manager = await startManager({
      projectDir: storeFolder(context.cwd),
      listen: options.text('listen') ?? env['MILLRACE_LISTEN'],
      controlUrl: options.text('control-url') ?? env['MILLRACE_CONTROL_URL'],
      logUrl: options.text('log-url') ?? env['MILLRACE_LOG_URL'],
      tls: cert === undefined || key === undefined ? undefined : { certFile: cert, keyFile: key },
      auditDays: options.whole('audit-days', 1, env['MILLRACE_AUDIT_DAYS']),
      privateWebhooks: options.flag('private-webhooks') || /^(1|true)$/i.test(env['MILLRACE_PRIVATE_WEBHOOKS'] ?? ''),
      version: version(),
      log: context.log,
    })
    const { url, oneTimeLogin } = manager
    if (context.json) context.print(`${JSON.stringify({ url, oneTimeLogin, pid: process.pid })}\n`)
    else {
      context.print(`The manager is ready at ${url}\n`)
      if (oneTimeLogin !== undefined)
        context.print(
          `The administrator logs in once, within a day, with:\n  millrace login ${url} --one-time ${oneTimeLogin}\n`,
        )
    }
    if (cert === undefined && !/\/\/(localhost|127\.|\[::1\])/.test(url))
      context.log.warn('others on the network can listen: give it a certificate with --tls-cert and --tls-key')
    if (!signals.stop.aborted)
      await new Promise<void>((stopped) => signals.stop.addEventListener('abort', () => stopped(), { once: true }))
    context.log.info('stopping', { signal: signals.name() })
    await manager.close()
  },
}
