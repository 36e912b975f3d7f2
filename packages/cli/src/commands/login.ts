import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { MillraceError } from '@millrace/sdk'
import { ManagerClient, managerUrl, requestToken } from '@millrace/sdk/manager'
import type { CommandContext } from '../command/context.ts'
import type { CommandSource } from '../command/definition.ts'
import { fileTrouble } from '../command/failure.ts'
import { type KeptLogin, keepLogin, loginsFile } from '../manager/logins.ts'

export const command: CommandSource = {
  doc: 'Logs in to a manager; other commands then speak to it. What it takes to do so is kept in a private file of yours. A secret is read from a file, the environment or the terminal, never from the command line.',
  arguments: [{ usage: '<url>', doc: 'where the manager is: https://…' }],
  options: [
    {
      flags: '--client-id <id>',
      doc: 'as a client; the secret from --secret-file, MILLRACE_CLIENT_SECRET or the terminal',
    },
    {
      flags: '--email <address>',
      doc: 'as a user, for an hour; the password from --secret-file, MILLRACE_PASSWORD or the terminal',
    },
    {
      flags: '--one-time <login>',
      doc: 'as a user, for an hour, with a login that works once; sets a password where one is given',
    },
    { flags: '--secret-file <file>', doc: 'the secret or the password; - is stdin' },
  ],
  json: true,
  examples: [
    { run: 'millrace login https://streams.example.com --client-id 0198c1e2-…', does: 'asks for the secret' },
    { run: 'millrace login http://127.0.0.1:4480 --one-time …', does: 'the administrator, after the first start' },
  ],
  run: async ({ args, options, context }) => {
    const url = managerUrl(args[0] as string)
    const clientId = options.text('client-id') ?? context.env['MILLRACE_CLIENT_ID']
    const email = options.text('email')
    const oneTime = options.text('one-time')
    if ([options.text('client-id'), email, oneTime].filter((one) => one !== undefined).length > 1)
      throw new MillraceError('COMMAND_USAGE', { why: 'say one of --client-id, --email and --one-time' })
    const file = options.text('secret-file')
    let login: KeptLogin
    if (oneTime !== undefined) {
      // Sent together: a password that is refused leaves the login as it was.
      const password = file === undefined ? context.env['MILLRACE_PASSWORD'] || undefined : secretIn(file)
      const form = { grant_type: 'urn:millrace:one-time-login', login: oneTime }
      login = await userLogin(url, password === undefined ? form : { ...form, password })
    } else if (email !== undefined) {
      const password = await secret('password', { file, env: 'MILLRACE_PASSWORD', context })
      login = await userLogin(url, { grant_type: 'password', username: email, password })
    } else if (clientId !== undefined) {
      const text = await secret('secret', { file, env: 'MILLRACE_CLIENT_SECRET', context })
      login = { is: 'client', id: clientId, secret: text }
      await new ManagerClient({ url, credentials: login }).token()
    } else throw new MillraceError('COMMAND_USAGE', { why: 'say who: --client-id, --email or --one-time' })
    const me = await new ManagerClient({ url, credentials: login }).call('getMe', {})
    keepLogin(context.env, url, login)
    if (context.json) context.printJson({ url, ...me })
    else
      context.say(
        `Logged in to ${url} as ${me.email ?? me.displayName}${login.is === 'token' ? ' for an hour' : ''}; kept in ${loginsFile(context.env)}.\n`,
      )
  },
}

const userLogin = async (
  url: string,
  form: Readonly<Record<string, string>>,
): Promise<KeptLogin & { readonly is: 'token' }> => {
  const { access_token: token, expires_in: seconds } = await requestToken(url, form)
  return { is: 'token', token, expiresAt: new Date(Date.now() + seconds * 1000).toISOString() }
}

const secretIn = (file: string): string => {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8').replace(/\r?\n$/, '')
  } catch (e) {
    throw new MillraceError('COMMAND_USAGE', {
      why: `--secret-file ${file}: ${fileTrouble(e)}`,
      fix: 'Give a file that can be read.',
    })
  }
}

const secret = async (
  what: string,
  from: { readonly file: string | undefined; readonly env: string; readonly context: CommandContext },
): Promise<string> => {
  if (from.file !== undefined) return secretIn(from.file)
  const given = from.context.env[from.env]
  if (given !== undefined && given !== '') return given
  if (process.stdin.isTTY !== true)
    throw new MillraceError('COMMAND_USAGE', {
      why: `the ${what} is missing`,
      fix: `Give it with --secret-file (- is stdin) or ${from.env}.`,
    })
  process.stderr.write(`${what}: `)
  // What is typed is not shown.
  const asked = createInterface({
    input: process.stdin,
    output: new Writable({ write: (_c, _e, done) => done() }),
    terminal: true,
  })
  try {
    return await asked.question('')
  } finally {
    asked.close()
    process.stderr.write('\n')
  }
}
