/** Finds a connector: one of ours by its name, or the module of an author by its path. */
import { existsSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { isAbsolute, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { builtInPersisters, builtInStreamers } from '@millrace/connectors'
import { MillraceError, type Operation, type Persister, type Streamer } from '@millrace/sdk'

export type Connector = Streamer | Persister | Operation
export type ConnectorKind = Connector['kind']

/** Whether a name means a file: `./weather.ts`, `/opt/tap/index.js`, `weather/index.ts`. */
export const isPath = (name: string): boolean => /[/\\]/.test(name) || /\.[cm]?[jt]s$/.test(name) || isAbsolute(name)

/** Throws REGISTRY_UNKNOWN, or PROCESS_NOT_STARTED where an author's module is not there or exports none. */
export const findStreamer = async (name: string, cwd: string): Promise<Streamer> =>
  isPath(name) ? await fromModule<Streamer>('streamer', name, cwd) : await builtInStreamers().get(name)

/** As {@link findStreamer}. */
export const findPersister = async (name: string, cwd: string): Promise<Persister> =>
  isPath(name) ? await fromModule<Persister>('persister', name, cwd) : await builtInPersisters().get(name)

/** As {@link findStreamer}; there are none of ours, so a name alone is never known. */
export const findOperation = async (name: string, cwd: string): Promise<Operation> => {
  if (isPath(name)) return await fromModule<Operation>('operation', name, cwd)
  const near = entryFile(resolve(cwd, name)) === undefined ? [] : [`./${name}`]
  throw new MillraceError('COMMAND_USAGE', {
    why: `no operation is called "${name}"${near.length > 0 ? ` — did you mean ${near[0]}?` : ''}`,
    fix: 'An operation is named by its file: millrace operation ./waffle.ts',
  })
}

const fromModule = async <T extends Connector>(kind: T['kind'], name: string, cwd: string): Promise<T> => {
  const file = entryFile(resolve(cwd, name))
  if (file === undefined)
    throw new MillraceError('PROCESS_NOT_STARTED', { what: `${kind} ${name}`, why: 'there is no such file' })
  offerOurPackages()
  let exported: Readonly<Record<string, unknown>>
  try {
    exported = (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>
  } catch (e) {
    throw new MillraceError(
      'PROCESS_NOT_STARTED',
      { what: `${kind} ${name}`, why: firstLine(e), ...fixOf(e) },
      { cause: e },
    )
  }
  const found = [exported['default'], ...Object.values(exported)].find(
    (v): v is T => typeof v === 'object' && v !== null && (v as { kind?: unknown }).kind === kind,
  )
  if (found === undefined)
    throw new MillraceError('PROCESS_NOT_STARTED', {
      what: `${kind} ${name}`,
      why: `it exports no ${kind} (see ${makers[kind]}); a script is run ${scripts[kind](name)}`,
    })
  files.set(found, file)
  return found
}

const files = new WeakMap<Connector, string>()

/** The file of an author's connector; undefined for one of ours. */
export const fileOf = (connector: Connector): string | undefined => files.get(connector)

const makers: Readonly<Record<ConnectorKind, string>> = {
  streamer: 'defineStreamer',
  persister: 'definePersister',
  operation: 'defineOperation',
}
const scripts: Readonly<Record<ConnectorKind, (name: string) => string>> = {
  streamer: (name) => `with --from-exec "node ${name}"`,
  persister: (name) => `with --to-exec "node ${name}"`,
  operation: (name) => `as a program in the pipe: … | node ${name} | …`,
}

const firstLine = (e: unknown): string => (e instanceof Error ? e.message : String(e)).split('\n')[0] ?? 'it failed'

/** What to do about a module that Node takes for another kind of one, as a package.json of `npm init` has it. */
const fixOf = (e: unknown): { readonly fix?: string } =>
  e instanceof SyntaxError && /outside a module/.test(e.message)
    ? { fix: 'Put a package.json with "type": "module" beside it, or call it .mts.' }
    : {}

/** The file itself, or the index of a folder. */
const entryFile = (path: string): string | undefined =>
  [
    /\.[cm]?[jt]s$/.test(path) ? path : '',
    `${path}/index.ts`,
    `${path}/index.js`,
    `${path}/index.mts`,
    `${path}/index.mjs`,
    `${path}.ts`,
    `${path}.js`,
  ].find((f) => f !== '' && existsSync(f))

/** An author's module that lies where our packages are not installed gets those of this program. */
const offerOurPackages = (): void => {
  registerHooks({
    resolve(specifier, context, next) {
      if (!specifier.startsWith('@millrace/')) return next(specifier, context)
      try {
        return next(specifier, context)
      } catch (e) {
        if ((e as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw e
        return next(specifier, { ...context, parentURL: import.meta.url })
      }
    },
  })
}

/** Where our own sdk is. */
export const entryUrlOfSdk = (): string => import.meta.resolve('@millrace/sdk')
