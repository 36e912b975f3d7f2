import { resolve } from 'node:path'
import { builtInPersisters, builtInStreamers, loadGate } from '@millrace/connectors'
import {
  type CompileMap,
  isMillraceError,
  type JsonObject,
  MillraceError,
  type Persister,
  resolveConfig,
  type Streamer,
  silentLogger,
  toMillraceError,
} from '@millrace/sdk'
import {
  applySelection,
  discoverCatalog,
  endName,
  fixOfMissing,
  type MissingVariable,
  missingVariables,
  type Pipeline,
  type PipelineEnd,
  projectEnvironment,
  resolveEnd,
  resolveMaps,
  type Survey,
  surveyProject,
} from '@millrace/server'
import type { CommandSource } from '../command/definition.ts'
import { listenForStop } from '../command/stop-signals.ts'
import { catalogSchemas } from '../connector/catalog-schemas.ts'
import { findPersister, findStreamer, isPath } from '../connector/find.ts'
import { choosePipeline, pipelineCommand } from '../project/chosen-pipeline.ts'
import { renewEditorSchema } from '../project/editor-schema.ts'
import { programsOf } from '../project/programs.ts'
import { counted } from '../terminal/format.ts'

interface Finding {
  readonly what: string
  readonly problem?: { readonly message: string; readonly code: string; readonly fix: string; readonly exit: number }
  readonly note?: string
}

export const command: CommandSource = pipelineCommand('both', (flags) => ({
  doc: 'Checks the project file and its pipelines, or one of them: settings, whether the source answers and has what is selected and mapped, whether the destination answers. Moves nothing.',
  json: true,
  examples: [
    { run: 'millrace check', does: 'the whole project' },
    { run: 'millrace check history', does: 'one pipeline' },
  ],
  run: async ({ args, options, context }) => {
    using stop = listenForStop()
    const isAdHoc = ['from', 'from-exec', 'to', 'to-exec'].some((o) => options.text(o) !== undefined)
    const findings: Finding[] = []
    const checkAll = async (pipelines: Iterable<Pipeline>, dir: string, placeOf?: Survey['placeOf']): Promise<void> => {
      for (const pipeline of pipelines)
        findings.push(...(await new PipelineCheck(pipeline, { dir, placeOf, signal: stop.stop }).findings()))
    }
    if (isAdHoc) {
      const { pipeline, dir } = await choosePipeline(args, options, { flags, context, sides: 'both' })
      await checkAll([pipeline], dir)
    } else {
      const { project, problems, placeOf } = await surveyProject(context.cwd, {
        streamers: builtInStreamers().names(),
        persisters: builtInPersisters().names(),
        isOther: isPath,
      })
      if (problems.length > 0)
        findings.push({
          what: project.file,
          problem: asProblem(new MillraceError('PROJECT_INVALID', { problems })),
        })
      if (args[0] === undefined) {
        renewEditorSchema(project.file)
        if (problems.length === 0)
          findings.push({ what: project.file, note: counted(project.pipelines.size, 'pipeline') })
        await checkAll(project.pipelines.values(), project.dir, placeOf)
      } else if (problems.length === 0) {
        const { pipeline, dir } = await choosePipeline(args, options, { flags, context, sides: 'both' })
        await checkAll([pipeline], dir, placeOf)
      } else
        await checkAll(
          [...project.pipelines.values()].filter((p) => p.name === args[0]),
          project.dir,
          placeOf,
        )
    }
    const bad = findings.flatMap((f) => (f.problem === undefined ? [] : [f.problem]))
    if (context.json) context.printJson({ good: bad.length === 0, findings })
    else
      for (const { what, problem, note } of findings)
        context.print(
          problem === undefined
            ? `${context.style.green('ok ')} ${what}${note === undefined ? '' : `: ${note}`}\n`
            : `${context.style.red('BAD')} ${what}: ${problem.message}   [${problem.code}]\n    ${problem.fix}\n`,
        )
    return bad[0]?.exit ?? 0
  },
}))

const asProblem = (e: unknown): NonNullable<Finding['problem']> => {
  const { message, code, fix, exitCode } = toMillraceError(e)
  return { message, code, fix, exit: exitCode }
}

/** One pipeline: its two ends, and what its selection and its maps name. */
class PipelineCheck {
  readonly #pipeline: Pipeline
  readonly #dir: string
  readonly #placeOf: Survey['placeOf'] | undefined
  readonly #signal: AbortSignal

  constructor(
    pipeline: Pipeline,
    {
      dir,
      placeOf,
      signal,
    }: { readonly dir: string; readonly placeOf: Survey['placeOf'] | undefined; readonly signal: AbortSignal },
  ) {
    this.#pipeline = pipeline
    this.#dir = dir
    this.#placeOf = placeOf
    this.#signal = signal
  }

  async findings(): Promise<readonly Finding[]> {
    const from = await this.#end('from')
    const to = await this.#end('to')
    const ends = [from, to].filter((f) => f !== undefined)
    return [...ends, ...(await this.#names(from !== undefined && from.problem === undefined))]
  }

  /** Where something of this pipeline stands, or undefined where it was put together on the command line. */
  #at(...path: readonly string[]): string | undefined {
    return this.#placeOf?.(['pipelines', this.#pipeline.name, ...path])
  }

  #placed(problem: string, ...path: readonly string[]): string {
    const place = this.#at(...path)
    return place === undefined ? problem : `${place}: ${problem}`
  }

  /** Undefined where the project file told of it already. */
  async #end(side: 'from' | 'to'): Promise<Finding | undefined> {
    const pipeline = this.#pipeline
    const end: PipelineEnd = pipeline[side]
    const known = side === 'from' ? builtInStreamers() : builtInPersisters()
    if (end.kind === 'connector' && !isPath(end.name) && !known.names().includes(end.name)) return undefined
    const what = `${pipeline.name}, ${side} ${end.kind === 'connector' ? end.name : 'exec'}`
    try {
      const env = projectEnvironment(this.#dir, process.env)
      const about = { what: `pipeline ${pipeline.name}, ${side}`, places: 'the environment and .env' }
      const missing = missingVariables(end, env, about)
      if (end.kind === 'exec') {
        this.#refuseMissing(side, missing, about.what)
        return { what, note: 'a program of somebody else, which is not asked' }
      }
      const connector: Streamer | Persister =
        side === 'from' ? await findStreamer(end.name, pipeline.cwd) : await findPersister(end.name, pipeline.cwd)
      const unset = new Set(missing.flatMap(({ path }) => (path[0] === 'config' ? path.slice(1, 2) : [])))
      const settings = {
        kind: connector.kind,
        name: connector.name,
        file: end.config,
        fileName: 'millrace.yaml',
        strict: true,
        ...(this.#placeOf === undefined
          ? {}
          : { placeOf: (key?: string) => this.#at(side, ...(key === undefined ? [] : ['config', key])) as string }),
      }
      if (missing.length > 0) {
        const wrong = attempt(() => resolveConfig(connector.config, { ...settings, env, unjudged: unset }))
        this.#refuseMissing(side, missing, `${connector.kind} ${connector.name}`, problemsOf(wrong))
      }
      const resolved = resolveEnd(end, env, about)
      const { config } = resolveConfig(connector.config, {
        ...settings,
        env: { ...env, ...resolved.env },
        file: resolved.config ?? {},
      })
      // Relative paths of a pipeline start in its folder.
      process.chdir(resolve(pipeline.cwd))
      const ctx = { config, log: silentLogger, signal: this.#signal }
      if (connector.kind === 'persister') await connector.check?.(ctx)
      else if (connector.check === undefined) await connector.substreams(ctx)
      else await connector.check(ctx)
      if (this.#signal.aborted) throw new MillraceError('INTERRUPTED', {})
      return {
        what,
        note:
          side === 'from'
            ? 'its settings are good and the source answers'
            : 'its settings are good and the destination answers',
      }
    } catch (e) {
      return { what, problem: asProblem(e) }
    }
  }

  #refuseMissing(
    side: 'from' | 'to',
    missing: readonly MissingVariable[],
    what: string,
    others: readonly string[] = [],
  ): void {
    if (missing.length === 0) return
    throw new MillraceError('CONFIG_INVALID', {
      what,
      problems: [...others, ...missing.map((m) => this.#placed(m.problem, side, ...m.path))],
      fix: fixOfMissing,
    })
  }

  /** Whether the maps can be read, and, where the source answers, whether what selection and maps name is there. */
  async #names(answers: boolean): Promise<readonly Finding[]> {
    const { name, select, maps } = this.#pipeline
    if (select === undefined && maps === undefined) return []
    try {
      const compile = maps === undefined ? undefined : await this.#compiled(maps)
      const unmatched = answers && this.#pipeline.from.kind === 'connector' ? await this.#onCatalog(compile) : []
      if (unmatched.length === 0) return []
      return [{ what: `${name}, maps`, note: `nothing is mapped in ${unmatched.join(', ')}, which is not read` }]
    } catch (e) {
      return [
        {
          what: `${name}, ${select === undefined ? 'maps' : maps === undefined ? 'select' : 'select and maps'}`,
          problem: asProblem(e),
        },
      ]
    }
  }

  /** Throws CONFIG_INVALID with all that can be told of the maps without data. */
  async #compiled(maps: JsonObject): Promise<CompileMap> {
    const about = { what: `pipeline ${this.#pipeline.name}, maps`, places: 'the environment and .env' }
    const env = projectEnvironment(this.#dir, process.env)
    const { compileMaps } = await loadGate()
    const problems: string[] = []
    const told = (e: MillraceError | undefined, ...path: readonly string[]): void => {
      for (const problem of problemsOf(e))
        problems.push(this.#placed(problem, 'maps', ...path, ...(problem.includes('a filter that') ? ['filter'] : [])))
    }
    for (const [substream, rules] of Object.entries(maps)) {
      told(
        attempt(() => resolveMaps({ [substream]: rules }, env, about)),
        substream,
        'mask_salt',
      )
      told(
        attempt(() => compileMaps({ [substream]: rules })),
        substream,
      )
    }
    if (problems.length > 0)
      throw new MillraceError('CONFIG_INVALID', { what: 'maps', problems, fix: 'See docs/reference/maps.md.' })
    return compileMaps(maps)
  }

  /** Asks the streamer what there is. Answers with the maps that found nothing; throws CONFIG_INVALID for names that are not there. */
  async #onCatalog(compile: CompileMap | undefined): Promise<readonly string[]> {
    const { select, ...pipeline } = this.#pipeline
    const programs = await programsOf(pipeline, this.#dir)
    const all = await discoverCatalog({ ...programs, pipeline, signal: this.#signal }).catch((e: unknown) => {
      // A tap that gives no catalog can be read all the same, where nothing is selected.
      if (select === undefined && isMillraceError(e)) return undefined
      throw e
    })
    if (all === undefined) return []
    const { catalog, problems: unknown } =
      select === undefined ? { catalog: all, problems: [] } : applySelection(all, select)
    const problems = unknown.map((problem) => {
      const pattern = Object.keys(select ?? {}).find((p) => problem.startsWith(`select.${p}:`))
      return this.#placed(problem, 'select', ...(pattern === undefined ? [] : [pattern]))
    })
    if (compile !== undefined)
      // A selection that names what is not there may leave out what it did not mean to.
      for (const schema of catalogSchemas(unknown.length > 0 ? all : catalog)) {
        const wrong = attempt(() => compile(schema))
        for (const problem of problemsOf(wrong))
          problems.push(this.#placed(`maps of ${schema.stream} ${problem}`, 'maps', schema.stream))
      }
    if (problems.length > 0)
      throw new MillraceError('CONFIG_INVALID', {
        what: `what ${endName(pipeline.from)} has`,
        problems,
        fix: `Run \`millrace discover ${pipeline.name}\` to see what there is.`,
      })
    return compile?.unmatched?.() ?? []
  }
}

/** What a call throws for wrong settings, or undefined. */
const attempt = (call: () => unknown): MillraceError | undefined => {
  try {
    call()
    return undefined
  } catch (e) {
    if (isMillraceError(e) && e.code === 'CONFIG_INVALID') return e
    throw e
  }
}

const problemsOf = (e: MillraceError | undefined): readonly string[] =>
  e === undefined ? [] : (e.details['problems'] as readonly string[])
