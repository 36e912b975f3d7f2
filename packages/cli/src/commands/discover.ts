import { isObject, type Json, type JsonObject } from '@millrace/sdk'
import { discoverCatalog } from '@millrace/server'
import type { CommandSource } from '../command/definition.ts'
import { listenForStop } from '../command/stop-signals.ts'
import { isSelected, keysOf, substreamOf } from '../connector/catalog-schemas.ts'
import { choosePipeline, pipelineCommand } from '../project/chosen-pipeline.ts'
import { programsOf } from '../project/programs.ts'
import { renderTable } from '../terminal/table.ts'

export const command: CommandSource = pipelineCommand('from', (flags) => ({
  doc: 'Asks a source what it offers: its substreams, their fields and keys, and what is selected.',
  options: [{ flags: '--catalog', doc: 'print the whole Singer catalog (as --json)' }],
  json: true,
  examples: [
    { run: 'millrace discover history', does: 'the source of a pipeline' },
    { run: 'millrace discover --from git --from.path . --json > catalog.json', does: 'a catalog to edit' },
  ],
  run: async ({ args, options, context }) => {
    const { pipeline, dir } = await choosePipeline(args, options, { flags, context, sides: 'from' })
    using stop = listenForStop()
    const catalog = await discoverCatalog({
      ...(await programsOf(pipeline, dir)),
      pipeline,
      signal: stop.stop,
      onLog: (line) => context.log.debug(line),
    })
    if (context.json || options.flag('catalog')) return context.printJson(catalog)
    const entries = (catalog['streams'] as readonly Json[]).filter(isObject)
    context.print(
      renderTable({
        columns: ['substream', 'selected', 'key', 'by', 'fields'],
        rows: entries.map((e) => [
          substreamOf(e),
          isSelected(e) ? 'yes' : 'no',
          keysOf(e).join(', '),
          String(e['replication_key'] ?? e['replication_method'] ?? ''),
          fieldsOf(e).join(', '),
        ]),
        width: context.width,
        heading: context.style.dim,
      }),
    )
  },
}))

const fieldsOf = (entry: JsonObject): readonly string[] => {
  const schema = entry['schema']
  const properties = isObject(schema) ? schema['properties'] : undefined
  return isObject(properties) ? Object.keys(properties) : []
}
