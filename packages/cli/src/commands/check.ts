import { resolve } from 'node:path'
import { builtInPersisters, builtInStreamers } from '@millrace/connectors'
import {
  MillraceError,
  type Persister,
  resolveConfig,
  silentLogger,
  type Streamer,
  toMillraceError,
} from '@millrace/sdk'
import { loadProject, type Pipeline, type PipelineEnd, projectEnvironment, resolveEnd } from '@millrace/server'
import type { CommandContext } from '../command/context.ts'
import type { CommandSource } from '../command/definition.ts'
import { listenForStop } from '../command/stop-signals.ts'
import { findPersister, findStreamer, isPath } from '../connector/find.ts'
import { choosePipeline, pipelineCommand } from '../project/chosen-pipeline.ts'
import { renewEditorSchema } from '../project/editor-schema.ts'
import { counted } from '../terminal/format.ts'

interface Finding {
  readonly what: string
  readonly problem?: { readonly message: string; readonly code: string; readonly fix: string; readonly exit: number }
  readonly note?: string
}

export const command: CommandSource = pipelineCommand('both', (flags) => ({
  doc: 'Checks the project file and its pipelines, or one of them: settings, whether the source answers, whether the destination does. Moves nothing.',
  json: true,
  examples: [
    { run: 'millrace check', does: 'the whole project' },
    { run: 'millrace check history', does: 'one pipeline' },
  ],
  run: async ({ args, options, context }) => {
    using stop = listenForStop()
    const isWhole =
      args[0] === undefined && ['from', 'from-exec', 'to', 'to-exec'].every((o) => options.text(o) === undefined)
    const findings: Finding[] = []
    if (isWhole) {
      const project = await loadProject(context.cwd, {
        streamers: builtInStreamers().names(),
        persisters: builtInPersisters().names(),
      }).catch(ignorePaths(context))
      renewEditorSchema(project.file)
      findings.push({ what: project.file, note: counted(project.pipelines.size, 'pipeline') })
      for (const pipeline of project.pipelines.values())
        findings.push(...(await checkPipeline(pipeline, project.dir, stop.stop)))
    } else {
      const { pipeline, dir } = await choosePipeline(args, options, { flags, context, sides: 'both' })
      findings.push(...(await checkPipeline(pipeline, dir, stop.stop)))
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

/** Names that are paths are an author's own; the project file is then read without a list of names, and each end tells. */
const ignorePaths = (context: CommandContext) => async (e: unknown) => {
  const project = await loadProject(context.cwd)
  const isOwn = [...project.pipelines.values()].some((p) =>
    [p.from, p.to].some((end) => end.kind === 'connector' && isPath(end.name)),
  )
  if (!isOwn) throw e
  return project
}

const checkPipeline = async (pipeline: Pipeline, dir: string, signal: AbortSignal): Promise<readonly Finding[]> => [
  await checkEnd(pipeline, 'from', dir, signal),
  await checkEnd(pipeline, 'to', dir, signal),
]

const checkEnd = async (
  pipeline: Pipeline,
  side: 'from' | 'to',
  dir: string,
  signal: AbortSignal,
): Promise<Finding> => {
  const end: PipelineEnd = pipeline[side]
  const what = `${pipeline.name}, ${side} ${end.kind === 'connector' ? end.name : 'exec'}`
  try {
    const env = projectEnvironment(dir, process.env)
    const resolved = resolveEnd(end, env, {
      what: `pipeline ${pipeline.name}, ${side}`,
      places: 'the environment and .env',
    })
    if (end.kind === 'exec') return { what, note: 'a program of somebody else, which is not asked' }
    const connector: Streamer | Persister =
      side === 'from' ? await findStreamer(end.name, pipeline.cwd) : await findPersister(end.name, pipeline.cwd)
    const { config } = resolveConfig(connector.config, {
      kind: connector.kind,
      name: connector.name,
      env: { ...env, ...resolved.env },
      file: resolved.config ?? {},
      fileName: 'millrace.yaml',
      strict: true,
    })
    // Relative paths of a pipeline start in its folder.
    process.chdir(resolve(pipeline.cwd))
    const ctx = { config, log: silentLogger, signal }
    if (connector.kind === 'persister') await connector.check?.(ctx)
    else if (connector.check === undefined) await connector.substreams(ctx)
    else await connector.check(ctx)
    if (signal.aborted) throw new MillraceError('INTERRUPTED', {})
    return {
      what,
      note:
        side === 'from'
          ? 'its settings are good and the source answers'
          : 'its settings are good and the destination answers',
    }
  } catch (e) {
    const { message, code, fix, exitCode } = toMillraceError(e)
    return { what, problem: { message, code, fix, exit: exitCode } }
  }
}
