/** A stream service on a control plane in a file and a log in memory, for the tests of what stands on it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemoryEngine, RecordBatch, type StoredBatch } from '@millrace/engine'
import { isMillraceError } from '@millrace/sdk'
import type { ControlPlane } from '../../control/control-plane.ts'
import { openSqliteControlPlane } from '../../control/engines/sqlite/index.ts'
import { type Principal, type Scope, scopes } from '../../domain/access.ts'
import { secureRandom } from '../../domain/ids.ts'
import { LoginService } from '../login-service.ts'
import { openStreamService } from '../service.ts'
import type { StreamService } from '../stream-service.ts'
import type { SchemaCompiler } from '../types.ts'

export interface World extends AsyncDisposable {
  readonly service: StreamService
  readonly logins: LoginService
  readonly control: ControlPlane
  readonly engine: MemoryEngine
  /** Lets time pass. */
  pass(ms: number): Date
  /** A user with all scopes, or these. */
  user(options?: { readonly isAdministrator?: boolean; readonly scopes?: readonly Scope[] }): Promise<Principal>
}

/** A schema is the text that every record must contain. */
const contains: SchemaCompiler = {
  compile:
    async ({ text }) =>
    (body) =>
      Buffer.from(body).includes(text) ? undefined : `lacks ${text}`,
}

export const openWorld = async (schemas: SchemaCompiler = contains): Promise<World> => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-streams-'))
  let ms = Date.UTC(2026, 10, 28)
  const now = (): Date => new Date(ms)
  const control = await openSqliteControlPlane(join(folder, 'control.db'))
  const engine = new MemoryEngine(now)
  const options = { control, engine, now, random: secureRandom, schemas, maxOpenLogs: 3 }
  const service = await openStreamService(options)
  let users = 0
  return {
    service,
    control,
    engine,
    logins: new LoginService(options),
    pass: (more) => {
      ms += more
      return now()
    },
    user: async ({ isAdministrator = false, scopes: some = scopes } = {}) => {
      const email = `user${users++}@example.org`
      const id = (await logins(control, now, email, isAdministrator)).id
      return { type: 'user', id, scopes: some, isAdministrator }
    },
    [Symbol.asyncDispose]: async () => {
      await service[Symbol.asyncDispose]()
      await engine[Symbol.asyncDispose]()
      await control[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const logins = (control: ControlPlane, now: () => Date, email: string, isAdministrator: boolean) =>
  control.users.create(
    { by: { type: 'manager', id: 'test' }, at: now() },
    { id: `${email}-id`, email, displayName: email, isAdministrator },
  )

export const json = (...values: readonly unknown[]): RecordBatch =>
  RecordBatch.of(values.map((value) => ({ body: Buffer.from(JSON.stringify(value)) })))
export const keyed = (key: string, value: unknown): RecordBatch =>
  RecordBatch.of([{ key, body: Buffer.from(JSON.stringify(value)) }])
export const values = (batches: readonly StoredBatch[]): readonly unknown[] =>
  batches.flatMap(({ records }) =>
    [...records.records()].map(({ body }) => JSON.parse(Buffer.from(body).toString()) as unknown),
  )
export const code =
  (wanted: string) =>
  (e: unknown): boolean =>
    isMillraceError(e) && e.code === wanted
