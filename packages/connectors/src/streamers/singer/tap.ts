/** A Singer tap while it is asked or read. See docs/reference/singer.md. */
import { readFileSync } from 'node:fs'
import {
  encodeJson,
  isMillraceError,
  isObject,
  type Json,
  type JsonObject,
  MillraceError,
  parseExact,
  type ProgramContext,
  type StreamerContext,
  systemCode,
} from '@millrace/sdk'
import { PrivateFiles } from '../../singer/private-files.ts'
import { Program } from '../../singer/program.ts'
import { programConfig } from '../../singer/settings.ts'
import { chosenCatalog } from './catalog.ts'
import type { SingerTapSettings } from './index.ts'

/** A longer catalog is refused. */
const maxCatalogBytes = 256 * 1024 * 1024
/** Between SIGTERM and SIGKILL. */
const graceMs = 5_000

type Context = StreamerContext & { readonly config: SingerTapSettings }

/** The tap's catalog: the file it was given, or what the tap prints. Throws CATALOG_INVALID and what the tap fails with. */
export const discoverTap = async (ctx: Context): Promise<JsonObject> => {
  const { catalogFile } = ctx.config
  if (catalogFile !== undefined) return catalogIn(readCatalogFile(catalogFile), catalogFile)
  using files = new PrivateFiles()
  const tap = startTap(ctx, { files, args: ['--discover'], stdout: 'pipe' })
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of tap.process.stdout ?? []) {
    bytes += (chunk as Buffer).length
    if (bytes > maxCatalogBytes) tap.kill('SIGKILL')
    else chunks.push(chunk as Buffer)
  }
  const ending = await stoppable(tap, ctx.signal)
  if (bytes > maxCatalogBytes)
    throw new MillraceError('CATALOG_INVALID', { why: `${tap.what} answers more than ${maxCatalogBytes} bytes` })
  if (ctx.signal.aborted) throw new MillraceError('INTERRUPTED', {})
  const failure = tap.failure(ending)
  if (failure !== undefined) throw failure
  return catalogIn(Buffer.concat(chunks).toString('utf8'), undefined, tap.what)
}

const readCatalogFile = (file: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch (e) {
    throw new MillraceError('CATALOG_INVALID', { file, why: `it cannot be read (${systemCode(e)})` }, { cause: e })
  }
}

const catalogIn = (text: string, file: string | undefined, what = ''): JsonObject => {
  let value: Json | undefined
  try {
    value = parseExact(text) as Json
  } catch {
    value = undefined
  }
  if (isObject(value) && Array.isArray(value['streams'])) return value
  throw new MillraceError('CATALOG_INVALID', {
    file: file ?? `of ${what}`,
    why: file === undefined ? 'what it printed is not a catalog' : 'it is not a catalog',
  })
}

/** Reads with the tap to its end; asked to stop, it is told so. Throws its failure. */
export const syncTap = async (ctx: ProgramContext & { readonly config: SingerTapSettings }): Promise<void> => {
  using files = new PrivateFiles()
  const { config, state, direct, log } = ctx
  const catalog =
    ctx.catalog ??
    (config.discovery === 'never' && config.catalogFile === undefined ? undefined : await ownCatalog(ctx))
  if (ctx.signal.aborted) return
  const inSchemas = config.catalogFlag === 'properties'
  const chosen = catalog === undefined ? undefined : chosenCatalog(catalog, { metadata: config.metadata, inSchemas })
  if (chosen !== undefined) log.debug('the tap is given a catalog', { flag: config.catalogFlag })
  const args = [
    ...(state === undefined ? [] : ['--state', files.write('state.json', encodeJson(state))]),
    ...(chosen === undefined ? [] : [`--${config.catalogFlag}`, files.write('catalog.json', encodeJson(chosen))]),
  ]
  const tap = startTap(ctx, { files, args, stdout: direct ?? 'pipe' })
  const [ending] = await Promise.all([stoppable(tap, ctx.signal), passOn(tap, ctx.write)])
  if (ctx.signal.aborted) return
  const failure = tap.failure(ending)
  if (failure !== undefined) throw failure
}

/** Nobody gave a catalog: the tap is asked. One that cannot be asked may be one that needs none. */
const ownCatalog = async (ctx: Context): Promise<JsonObject | undefined> => {
  try {
    return await discoverTap(ctx)
  } catch (e) {
    if (ctx.config.discovery === 'always' || ctx.config.catalogFile !== undefined || !isMillraceError(e)) throw e
    if (e.code !== 'PROCESS_FAILED' && e.code !== 'CATALOG_INVALID') throw e
    ctx.log.warn('the tap was asked for its catalog and gave none; it is run without one', { why: e.message })
    return undefined
  }
}

const startTap = (
  ctx: Context,
  o: { readonly files: PrivateFiles; readonly args: readonly string[]; readonly stdout: 'pipe' | number },
): Program => {
  const { command, value, file } = programConfig(ctx.config, 'streamer singer')
  const config = file ?? o.files.write('config.json', encodeJson(value ?? {}))
  return new Program({
    role: 'tap',
    command,
    args: ['--config', config, ...o.args],
    config: value,
    stdin: 'ignore',
    stdout: o.stdout,
    relay: ctx.relay,
  })
}

/** Waits for the end of a tap; when the signal comes it is told to stop, and after a grace it is killed. */
const stoppable = async (tap: Program, signal: AbortSignal): ReturnType<() => Program['ended']> => {
  let timer: NodeJS.Timeout | undefined
  const stop = (): void => {
    tap.kill('SIGTERM')
    timer = setTimeout(() => tap.kill('SIGKILL'), graceMs)
  }
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop, { once: true })
  try {
    return await tap.ended
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
}

/** What the tap writes, to whoever takes it; where it writes by itself there is nothing to do. */
const passOn = async (tap: Program, write: ProgramContext['write']): Promise<void> => {
  try {
    for await (const chunk of tap.process.stdout ?? []) await write(chunk as Buffer)
  } catch (e) {
    tap.kill('SIGTERM')
    throw e
  }
}
