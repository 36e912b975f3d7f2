import type { RecordMessage } from '@millrace/sdk'
import type { CommandContext } from '../command/context.ts'
import type { CommandSource } from '../command/definition.ts'
import { listenForStop } from '../command/stop-signals.ts'
import { choosePipeline, pipelineCommand } from '../project/chosen-pipeline.ts'
import { previewSource } from '../project/preview-source.ts'
import { programsOf } from '../project/programs.ts'
import { renderTable } from '../terminal/table.ts'

export const command: CommandSource = pipelineCommand('from', (flags) => ({
  doc: 'Shows the first records of each substream as the source gives them, then stops it. No state moves, nothing is written.',
  options: [
    { flags: '-l, --limit <n>', doc: 'records of each substream (default: 5)' },
    { flags: '--max-seconds <n>', doc: 'how long a source is waited for (default: 30)' },
  ],
  json: true,
  examples: [
    { run: 'millrace preview history', does: 'the source of a pipeline' },
    { run: 'millrace preview --from git --from.path . --select commits --limit 3', does: 'one substream' },
  ],
  run: async ({ args, options, context }) => {
    const { pipeline, dir } = await choosePipeline(args, options, { flags, context, sides: 'from' })
    using stop = listenForStop()
    const found = await previewSource({
      pipeline,
      programs: await programsOf(pipeline, dir),
      limit: options.whole('limit', 1) ?? 5,
      maxMs: (options.whole('max-seconds', 1) ?? 30) * 1000,
      signal: stop.stop,
      onLog: (line) => context.log.debug(line),
    })
    if (context.json)
      context.printJson(Object.fromEntries([...found].map(([name, records]) => [name, records.map((r) => r.record)])))
    else for (const [name, records] of found) showRecords(name, records, context)
    context.say('No state moved.\n')
  },
}))

const showRecords = (name: string, records: readonly RecordMessage[], context: CommandContext): void => {
  const { print, style, width } = context
  print(`${style.bold(name)}\n`)
  if (records.length === 0) {
    print('  no records\n\n')
    return
  }
  const rows = records.map((r) => JSON.parse(r.bytes().toString()) as Record<string, unknown>)
  const columns = [...new Set(rows.flatMap((r) => Object.keys(r)))]
  // In a pipe nothing is cut by the terminal, so long values are cut here.
  const cell = (v: unknown): string => {
    const text = v === undefined || v === null ? '' : typeof v === 'string' ? v : JSON.stringify(v)
    return text.length > 60 ? `${text.slice(0, 59)}…` : text
  }
  print(
    `${renderTable({ columns, rows: rows.map((r) => columns.map((c) => cell(r[c]))), width, indent: 2, heading: style.dim })}\n`,
  )
}
