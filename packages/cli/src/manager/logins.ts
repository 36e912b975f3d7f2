/** Where managers are and with which credentials, as `millrace login` keeps it: one private file of the user. */
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { MillraceError, systemCode } from '@millrace/sdk'
import type { CommandContext } from '../command/context.ts'

type Environment = CommandContext['env']

/** A login that is kept: of a client for good, of a user as long as its token lives. */
export type KeptLogin =
  | { readonly is: 'client'; readonly id: string; readonly secret: string }
  | { readonly is: 'token'; readonly token: string; readonly expiresAt: string }

export interface KeptLogins {
  /** The manager that is meant where nothing says another. */
  readonly current: string | undefined
  readonly logins: Readonly<Record<string, KeptLogin>>
}

export const loginsFile = (env: Environment): string => {
  const base = env['XDG_CONFIG_HOME']
  return join(base?.startsWith('/') ? base : join(env['HOME'] ?? homedir(), '.config'), 'millrace', 'logins.json')
}

/** What is kept; nothing where there is no file. Throws CONFIG_FILE for one that cannot be read. */
export const readLogins = (env: Environment): KeptLogins => {
  const file = loginsFile(env)
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (e) {
    if (systemCode(e) === 'ENOENT' || systemCode(e) === 'ENOTDIR') return { current: undefined, logins: {} }
    throw new MillraceError(
      'CONFIG_FILE',
      { file, why: `it cannot be read (${systemCode(e) ?? 'it failed'})` },
      { cause: e },
    )
  }
  try {
    const { current, logins } = JSON.parse(text) as Partial<KeptLogins>
    return { current, logins: logins ?? {} }
  } catch (e) {
    throw new MillraceError('CONFIG_FILE', { file, why: 'it is no JSON; remove it and log in again' }, { cause: e })
  }
}

/** Keeps a login, which becomes the current one. The file is for this user only. */
export const keepLogin = (env: Environment, url: string, login: KeptLogin): void => {
  const file = loginsFile(env)
  const { logins } = readLogins(env)
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  writeFileSync(`${file}.new`, `${JSON.stringify({ current: url, logins: { ...logins, [url]: login } }, null, 2)}\n`, {
    mode: 0o600,
  })
  chmodSync(`${file}.new`, 0o600)
  renameSync(`${file}.new`, file)
}
