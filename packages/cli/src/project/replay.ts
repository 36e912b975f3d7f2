/** Sending dead letters to their destination again. */
import { loadGate } from '@millrace/connectors'
import {
  type Books,
  type ConfigSpec,
  type Evidence,
  encodeJson,
  isObject,
  type Json,
  type JsonObject,
  MillraceError,
  type Persister,
  resolveConfig,
  runPersister,
  toMillraceError,
} from '@millrace/sdk'
import {
  discoverCatalog,
  endIdentity,
  type Pipeline,
  projectEnvironment,
  resolveEnd,
  resolveMaps,
  type Store,
  type StoredDeadLetter,
  unselectedFor,
} from '@millrace/server'
import type { CommandContext } from '../command/context.ts'
import type { StopSignals } from '../command/stop-signals.ts'
import { catalogSchemas } from '../connector/catalog-schemas.ts'
import { findPersister } from '../connector/find.ts'
import { programsOf } from './programs.ts'

const pageSize = 1000

/** All dead letters of a pipeline that were not replayed, oldest first. */
export function* lettersOf(
  store: Store,
  pipeline: string,
  substream: string | undefined,
): Generator<StoredDeadLetter, void, undefined> {
  for (let after = 0; ; ) {
    const page = store.deadLetters({
      pipeline,
      after,
      limit: pageSize,
      ...(substream === undefined ? {} : { substream }),
    })
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < pageSize) return
    after = last.id
  }
}

/** A line of input, and the letter it is; undefined for the SCHEMA before it. */
export interface ReplayLine {
  readonly text: string
  readonly letter: number | undefined
}

/**
 * The letters as messages: each record behind the schema it is checked against, which is the one of today where
 * `schemas` knows it, else the one it was refused by.
 */
export function* replayLines(
  letters: Iterable<StoredDeadLetter>,
  schemas: ReadonlyMap<string, string>,
): Generator<ReplayLine, void, undefined> {
  const said = new Map<string, string>()
  for (const letter of letters) {
    const schema = schemas.get(letter.substream) ?? letter.schema
    if (schema !== undefined && said.get(letter.substream) !== schema) {
      said.set(letter.substream, schema)
      yield { text: schema.trim(), letter: undefined }
    }
    const text = letter.text.replaceAll(/[\r\n]+/g, ' ')
    const isMessage = letter.substream === '' || /^\s*\{\s*"type"\s*:\s*"RECORD"/.test(text)
    yield {
      text: isMessage ? text : `{"type":"RECORD","stream":${JSON.stringify(letter.substream)},"record":${text}}`,
      letter: letter.id,
    }
  }
}

interface SourceOfToday {
  /** The SCHEMA lines of today, by substream; none where the source cannot be asked. */
  readonly schemas: ReadonlyMap<string, string>
  /** What the streamer may have written and is not selected. */
  readonly unselected: JsonObject | undefined
}

const sourceOfToday = async (pipeline: Pipeline, dir: string, context: CommandContext): Promise<SourceOfToday> => {
  try {
    const catalog = await discoverCatalog({
      ...(await programsOf(pipeline, dir)),
      pipeline,
      onLog: (line) => context.log.debug(line),
    })
    return {
      schemas: new Map(
        catalogSchemas(catalog).map((s) => [
          s.stream,
          encodeJson({ type: 'SCHEMA', stream: s.stream, schema: s.schema, key_properties: s.keyProperties }),
        ]),
      ),
      unselected: pipeline.select === undefined ? undefined : unselectedFor(pipeline, catalog),
    }
  } catch (e) {
    context.log.warn('the source was not asked for its schemas; the old ones are used', {
      why: toMillraceError(e).message,
    })
    return { schemas: new Map(), unselected: undefined }
  }
}

export interface ReplayResult {
  readonly run: string
  readonly replayed: number
  readonly refused: number
  readonly books: Books
}

/**
 * Runs the persister of a pipeline over its dead letters, as a run of that pipeline: it holds its lock, and what it leaves
 * is the evidence that `verify` asks for. Letters that are stored are marked, those refused again stay.
 */
export const replayLetters = async (
  {
    pipeline,
    dir,
    store,
    context,
  }: { readonly pipeline: Pipeline; readonly dir: string; readonly store: Store; readonly context: CommandContext },
  o: { readonly substream: string | undefined; readonly validate: boolean; readonly stop: StopSignals },
): Promise<ReplayResult> => {
  if (pipeline.to.kind === 'exec')
    throw new MillraceError('COMMAND_USAGE', {
      why: `the persister of ${pipeline.name} is a program of somebody else`,
      fix: 'Use --print, and pipe the messages into it.',
    })
  const persister = await findPersister(pipeline.to.name, pipeline.cwd)
  const { config, maps, redact } = await settingsOf(persister, pipeline, dir)
  const { compileMaps, compileSchema, withoutUnselected } = await loadGate()
  const { schemas, unselected } = await sourceOfToday(pipeline, dir, context)
  // Dead letters are of some substreams: those that did not come are not told.
  const mapped = maps === undefined ? undefined : compileMaps(maps)
  const compileMap = unselected === undefined ? mapped : withoutUnselected(unselected, mapped)
  process.chdir(pipeline.cwd)
  const { run } = store.beginRun({
    pipeline: pipeline.name,
    destination: endIdentity(pipeline.to, pipeline.cwd),
    mode: 'override',
    definition: {
      cwd: pipeline.cwd,
      from: { ...pipeline.from, config: {}, env: {} } as never,
      to: { ...pipeline.to, config: redact, env: {} } as never,
    },
  })
  const sent = new Map<number, number>()
  const refused = new Set<number>()
  let books: Books = {}
  let evidence: readonly Evidence[] = []
  try {
    await runPersister(persister, {
      config,
      input: inputOf(replayLines(lettersOf(store, pipeline.name, o.substream), schemas), sent),
      writeState: () => {},
      log: context.log,
      signal: o.stop.stop,
      kill: o.stop.kill,
      onInvalid: 'dead-letter',
      ...(o.validate && pipeline.validate ? { compileSchema } : {}),
      ...(compileMap === undefined ? {} : { compileMap: (s) => compileMap(s) }),
      keepDeadLetters: async (letters) => {
        for (const l of letters) refused.add(l.line)
      },
      report: (report) => {
        if (report.kind === 'commit' || report.kind === 'closed') books = report.books
        if (report.kind === 'closed') evidence = report.evidence
      },
    })
    if (o.stop.stop.aborted) throw new MillraceError('INTERRUPTED', { signal: o.stop.name() })
  } catch (e) {
    const { code, message, exitCode } = toMillraceError(e)
    store.endRun({
      run: run.id,
      why: code === 'INTERRUPTED' ? 'stopped' : 'failed',
      exitCode,
      error: { code, message },
      books,
      evidence,
    })
    throw e
  }
  const stored = [...sent].filter(([line]) => !refused.has(line)).map(([, id]) => id)
  store.markReplayed(stored)
  store.endRun({ run: run.id, why: 'finished', exitCode: 0, books, evidence })
  return { run: run.id, replayed: stored.length, refused: sent.size - stored.length, books }
}

async function* inputOf(
  lines: Iterable<ReplayLine>,
  sent: Map<number, number>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let line = 0
  for (const { text, letter } of lines) {
    line++
    if (letter !== undefined) sent.set(line, letter)
    yield Buffer.from(`${text}\n`)
  }
}

const settingsOf = async (
  persister: Persister,
  pipeline: Pipeline,
  dir: string,
): Promise<{
  readonly config: Record<string, unknown>
  readonly maps: JsonObject | undefined
  readonly redact: Record<string, Json>
}> => {
  const env = projectEnvironment(dir, process.env)
  const places = 'the environment and .env'
  const resolved = resolveEnd(pipeline.to, env, { what: `pipeline ${pipeline.name}, to`, places })
  const maps =
    pipeline.maps === undefined
      ? undefined
      : resolveMaps(pipeline.maps, env, { what: `pipeline ${pipeline.name}, maps`, places })
  const { config } = resolveConfig(persister.config as ConfigSpec, {
    kind: 'persister',
    name: persister.name,
    env: { ...env, ...resolved.env },
    file: resolved.config ?? {},
    fileName: 'millrace.yaml',
  })
  const { redact } = await programsOf(pipeline, dir)
  return { config: { ...config }, maps, redact: redact(pipeline.to) as Record<string, Json> }
}

/** The pipeline as a run of it kept it; undefined where none did. */
export const keptPipeline = (store: Store, name: string): Pipeline | undefined => {
  const definition = store.listRuns({ pipeline: name, limit: 20 }).find((r) => r.definition !== undefined)?.definition
  if (definition === undefined || !isObject(definition['from']) || !isObject(definition['to'])) return undefined
  return {
    name,
    cwd: String(definition['cwd']),
    from: definition['from'] as unknown as Pipeline['from'],
    to: definition['to'] as unknown as Pipeline['to'],
    onInvalid: 'dead-letter',
    validate: true,
  }
}
