/** A manager in this process, on a folder of its own, and ways to ask it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger } from '@millrace/sdk'
import { type ManagerOptions, startManager } from '../../app.ts'
import type { Limits } from '../../http/limits.ts'
import { readManagerNote } from '../../manager/folder.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The answer as JSON; whatever the test takes it for. */
  json<T>(): T
}

export interface Ask {
  readonly token?: string | undefined
  readonly body?: string | Uint8Array<ArrayBuffer> | undefined
  readonly headers?: Readonly<Record<string, string>>
}

export interface TestManager extends AsyncDisposable {
  readonly url: string
  /** The administrator's. */
  readonly token: string
  ask(method: string, path: string, how?: Ask): Promise<Answer>
  /** Asks with a JSON body as the administrator, and expects to be answered well. */
  good<T>(method: string, path: string, body?: unknown): Promise<T>
  /** Makes a client and answers its id and a token of it. */
  client(name: string): Promise<{ readonly id: string; readonly secret: string; readonly token: string }>
}

/** `dir` is its folder, which is gone after it; one of its own where that is left out. */
export const testManager = async (
  limits: Partial<Limits> = {},
  dir: string = mkdtempSync(join(tmpdir(), 'millrace-api-')),
  where: Pick<ManagerOptions, 'controlUrl' | 'logUrl'> = {},
): Promise<TestManager> => {
  const manager = await startManager({
    ...where,
    projectDir: dir,
    listen: '127.0.0.1:0',
    version: '0.0.0',
    log: silentLogger,
    limits,
  })
  const token = readManagerNote(dir)?.token ?? ''
  const ask = async (method: string, path: string, how: Ask = {}): Promise<Answer> => {
    const given = 'token' in how ? how.token : token
    const response = await fetch(manager.url + path, {
      method,
      headers: {
        ...(given === undefined ? {} : { authorization: `Bearer ${given}` }),
        ...(how.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...how.headers,
      },
      ...(how.body === undefined ? {} : { body: how.body }),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, json: <T>() => JSON.parse(text) as T }
  }
  const good = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const answer = await ask(method, path, body === undefined ? {} : { body: JSON.stringify(body) })
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`)
    return (answer.text === '' ? undefined : answer.json()) as T
  }
  return {
    url: manager.url,
    token,
    ask,
    good,
    client: async (name) => {
      const made = await good<{ readonly client: { readonly id: string }; readonly secret: string }>(
        'POST',
        '/api/v1/clients',
        { displayName: name },
      )
      const form = new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: made.client.id,
        client_secret: made.secret,
      })
      const got = await ask('POST', '/api/v1/oauth/token', {
        token: undefined,
        body: form.toString(),
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      })
      return {
        id: made.client.id,
        secret: made.secret,
        token: got.json<{ readonly access_token: string }>().access_token,
      }
    },
    [Symbol.asyncDispose]: async () => {
      await manager.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
