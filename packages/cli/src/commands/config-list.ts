import { type JsonObject, type Persister, type ResolvedSetting, resolveConfig, type Streamer } from '@millrace/sdk'
import {
  getPipeline,
  loadProject,
  type Pipeline,
  type PipelineEnd,
  projectEnvironment,
  resolveEnd,
} from '@millrace/server'
import type { CommandSource } from '../command/definition.ts'
import { findPersister, findStreamer } from '../connector/find.ts'
import { renderTable } from '../terminal/table.ts'

interface Row {
  readonly pipeline: string
  readonly end: string
  readonly key: string
  readonly value: string
  readonly source: string
  readonly from: string
}

export const command: CommandSource = {
  doc: 'Every setting of the pipelines, its value and which place gave it: environment, millrace.yaml or default. Secrets are not shown.',
  arguments: [{ usage: '[name]', doc: 'only one pipeline' }],
  json: true,
  examples: [
    { run: 'millrace config list', does: 'every pipeline' },
    { run: 'millrace config list history --json', does: 'one of them, for a program' },
  ],
  run: async ({ args, context }) => {
    const project = await loadProject(context.cwd)
    const env = projectEnvironment(project.dir, process.env)
    const chosen = args[0] === undefined ? [...project.pipelines.values()] : [getPipeline(project, args[0])]
    const rows: Row[] = []
    for (const pipeline of chosen) {
      rows.push(...(await settingsOf(pipeline, pipeline.from, 'from', env)))
      rows.push(...(await settingsOf(pipeline, pipeline.to, 'to', env)))
    }
    if (context.json) return context.printJson(rows)
    context.print(
      renderTable({
        columns: ['pipeline', 'end', 'setting', 'value', 'from'],
        rows: rows.map((r) => [
          r.pipeline,
          r.end,
          r.key,
          r.value,
          [r.source, r.from].filter((t) => t !== '').join(': '),
        ]),
        width: context.width,
        heading: context.style.dim,
      }),
    )
  },
}

const settingsOf = async (
  pipeline: Pipeline,
  end: PipelineEnd,
  side: 'from' | 'to',
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly Row[]> => {
  const row = (key: string, value: string, source: string, from: string): Row => ({
    pipeline: pipeline.name,
    end: `${side} ${end.kind === 'connector' ? end.name : 'exec'}`,
    key,
    value,
    source,
    from,
  })
  // What a program of somebody else takes for a secret is not known here: none of its values is shown.
  if (end.kind === 'exec') return Object.keys(end.config ?? {}).map((key) => row(key, '***', 'file', 'millrace.yaml'))
  const connector: Streamer | Persister =
    side === 'from' ? await findStreamer(end.name, pipeline.cwd) : await findPersister(end.name, pipeline.cwd)
  const what = `${side} of pipeline ${pipeline.name}`
  const { config = {}, env: own } = resolveEnd(end, env, { what, places: 'the environment and .env' })
  const { settings } = resolveConfig(connector.config, {
    kind: connector.kind,
    name: connector.name,
    env: { ...env, ...own },
    file: config,
    fileName: 'millrace.yaml',
  })
  return settings.map((s) =>
    row(s.key, shownValue(s, end.config), s.source, s.source === 'file' ? 'millrace.yaml' : s.from),
  )
}

/** A value with a reference in it is shown as it is written: what it refers to may be a secret. */
const shownValue = (setting: ResolvedSetting, written: JsonObject): string => {
  const raw = written[setting.key]
  return setting.source === 'file' && typeof raw === 'string' && raw.includes('${') ? raw : setting.shown
}
