/** A manager in a folder of its own, for tests of the surfaces of compatibility. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger } from '@millrace/sdk'
import { type ManagerOptions, startManager } from '../../app.ts'
import { readManagerNote } from '../../manager/folder.ts'

export interface TestClient {
  readonly id: string
  readonly secret: string
}

export interface TestManager extends AsyncDisposable {
  readonly url: string
  /** Asks the API as the administrator; answers the body. */
  readonly api: <T>(method: string, path: string, body?: unknown) => Promise<T>
  /** A client that the administrator made. */
  readonly client: (displayName: string) => Promise<TestClient>
  /** Stops it, and starts another on what it left. */
  readonly restart: () => Promise<TestManager>
}

export const startTestManager = async (
  options: Partial<ManagerOptions> = {},
  folder: string = mkdtempSync(join(tmpdir(), 'compat-')),
): Promise<TestManager> => {
  const manager = await startManager({
    projectDir: folder,
    listen: '127.0.0.1:0',
    version: '0.0.0',
    log: silentLogger,
    ...options,
  })
  const token = readManagerNote(folder)?.token
  const api = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`${manager.url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return (text === '' ? undefined : JSON.parse(text)) as T
  }
  return {
    url: manager.url,
    api,
    client: async (displayName) => {
      const made = await api<{ readonly client: { readonly id: string }; readonly secret: string }>(
        'POST',
        '/clients',
        {
          displayName,
        },
      )
      return { id: made.client.id, secret: made.secret }
    },
    restart: async () => {
      await manager.close()
      return await startTestManager(options, folder)
    },
    [Symbol.asyncDispose]: async () => {
      await manager.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
