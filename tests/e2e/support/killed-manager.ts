/** A manager that is killed and begun again, in a folder and at a port that stay. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManagerClient } from '@millrace/sdk/manager'
import { freePort } from '@millrace/sdk/testing'
import { readManagerNote } from '@millrace/server'
import { root } from './clone.ts'

export interface KilledManager extends Disposable {
  readonly folder: string
  readonly url: string
  /** Resolves when it answers. */
  readonly start: () => Promise<void>
  /** Resolves when it is gone. */
  readonly kill: () => Promise<void>
  /** Ends it as an operator does; answers its exit code. */
  readonly stop: () => Promise<number | null>
  /** As its owner on this machine, until it is killed. */
  readonly local: () => ManagerClient
  /** A client that may read and write the stream, and whose tokens outlive the manager. */
  readonly clientOf: (stream: string) => Promise<ManagerClient>
}

/** `args` are those of `millrace up` beside where it listens. */
export const killedManager = async (args: readonly string[] = []): Promise<KilledManager> => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-killed-'))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  let child: ChildProcess | undefined
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    const ended = child as ChildProcess
    const code = new Promise<number | null>((done) => ended.once('close', done))
    ended.kill(signal)
    return await code
  }
  const local = (): ManagerClient =>
    new ManagerClient({ url, credentials: { is: 'token', token: readManagerNote(folder)?.token ?? '' } })
  return {
    folder,
    url,
    start: async () => {
      const up = [join(root, 'packages/cli/bin/millrace.mjs'), 'up', '--listen', `127.0.0.1:${port}`, '--json', ...args]
      const started = spawn(process.execPath, up, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
      child = started
      const err: Buffer[] = []
      started.stderr.on('data', (chunk: Buffer) => err.push(chunk))
      await new Promise<void>((ready, failed) => {
        started.stdout.once('data', () => ready())
        started.once('close', () => failed(new Error(`the manager ended: ${Buffer.concat(err)}`)))
      })
    },
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
    local,
    clientOf: async (stream) => {
      const made = await local().call('createClient', { body: { displayName: 'publisher' } })
      await local().call('grant', {
        params: { stream },
        body: { actor: { type: 'client', id: made.client.id }, isProducer: true, isConsumer: true },
      })
      return new ManagerClient({ url, credentials: { is: 'client', id: made.client.id, secret: made.secret } })
    },
    [Symbol.dispose]: () => {
      child?.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
