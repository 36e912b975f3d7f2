/**
 * The manager that a command speaks to. The first of these that is there:
 *
 * 1. MILLRACE_URL, with MILLRACE_CLIENT_ID and MILLRACE_CLIENT_SECRET, with MILLRACE_TOKEN, or with what `millrace login` kept for it
 * 2. the manager that runs on the project of the working folder (`millrace up`), without a login
 * 3. the manager that `millrace login` was called for last
 */
import { MillraceError } from '@millrace/sdk'
import { ManagerClient, type ManagerCredentials, managerUrl } from '@millrace/sdk/manager'
import { readManagerNote } from '@millrace/server'
import type { CommandContext } from '../command/context.ts'
import { storeFolder } from '../project/store.ts'
import { type KeptLogin, readLogins } from './logins.ts'

/** Throws MANAGER_UNKNOWN with the places that were looked at, TOKEN_INVALID for a kept login that has expired. */
export const connect = (context: Pick<CommandContext, 'cwd' | 'env'>): ManagerClient => {
  const { env, cwd } = context
  const asked = env['MILLRACE_URL']
  if (asked !== undefined && asked !== '') {
    const url = managerUrl(asked)
    return new ManagerClient({ url, credentials: fromEnvironment(env) ?? fromLogins(env, url, asked) })
  }
  const folder = storeFolder(cwd)
  const note = readManagerNote(folder)
  // Read again for each request: a manager that was started anew has another token, and maybe another address.
  if (note !== undefined)
    return new ManagerClient({ url: note.url, credentials: { is: 'note', read: () => readManagerNote(folder) } })
  const { current, logins } = readLogins(env)
  const login = current === undefined ? undefined : logins[current]
  if (current === undefined || login === undefined)
    throw new MillraceError('MANAGER_UNKNOWN', {
      looked: ['MILLRACE_URL is not set', `none runs on ${folder}`, 'nobody logged in'],
    })
  return new ManagerClient({ url: current, credentials: credentialsOf(login, current) })
}

const fromEnvironment = (env: CommandContext['env']): ManagerCredentials | undefined => {
  const { MILLRACE_CLIENT_ID: id, MILLRACE_CLIENT_SECRET: secret, MILLRACE_TOKEN: token } = env
  if (id !== undefined && secret !== undefined) return { is: 'client', id, secret }
  return token === undefined ? undefined : { is: 'token', token }
}

const fromLogins = (env: CommandContext['env'], url: string, asked: string): ManagerCredentials => {
  const login = readLogins(env).logins[url]
  if (login !== undefined) return credentialsOf(login, url)
  throw new MillraceError('MANAGER_UNKNOWN', {
    looked: [
      `MILLRACE_URL is ${asked}`,
      'MILLRACE_CLIENT_ID and MILLRACE_CLIENT_SECRET are not both set',
      `nobody logged in to ${url}`,
    ],
  })
}

const credentialsOf = (login: KeptLogin, url: string): ManagerCredentials => {
  if (login.is === 'client') return login
  if (new Date(login.expiresAt).getTime() <= Date.now())
    throw new MillraceError('TOKEN_INVALID', {
      why: `the login at ${url} has expired`,
      fix: `Log in again: millrace login ${url}`,
    })
  return { is: 'token', token: login.token }
}
