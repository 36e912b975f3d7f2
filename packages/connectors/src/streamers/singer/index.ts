import { choice, defineStreamer, type Field, json, type JsonObject, type Streamer, text } from '@millrace/sdk'
import { checkProgram } from '../../singer/check-program.ts'
import {
  programConfig,
  type ProgramSettingFields,
  type ProgramSettings,
  programSettings,
} from '../../singer/settings.ts'

export interface SingerTapSettings extends ProgramSettings {
  readonly discovery: 'auto' | 'always' | 'never'
  readonly catalogFile: string | undefined
  readonly catalogFlag: 'catalog' | 'properties'
  readonly metadata: JsonObject
}

const settings: ProgramSettingFields & { readonly [K in keyof SingerTapSettings]: Field<SingerTapSettings[K]> } = {
  ...programSettings,
  discovery: choice(['auto', 'always', 'never'], {
    doc: 'Ask the tap for its catalog before it reads, where none was given: auto goes on without where it gives none',
    default: 'auto',
  }),
  catalogFile: text({
    doc: 'A catalog that is there already, in place of asking the tap',
    aliases: ['catalog_file'],
    optional: true,
  }),
  catalogFlag: choice(['catalog', 'properties'], {
    doc: 'How the tap takes its catalog: old ones know --properties only, and look for the choice in the schemas',
    aliases: ['catalog_flag'],
    default: 'catalog',
  }),
  metadata: json({
    doc: 'Metadata to set in the catalog, by stream (* stands for anything)',
    default: {},
    example: '{"orders": {"replication-method": "INCREMENTAL", "replication-key": "updated_at"}}',
  }),
}

/** Any Singer tap (docs/reference/singer.md). */
export const singer: Streamer = defineStreamer({
  name: 'singer',
  doc: 'Reads with a Singer tap, in any language; the tap writes its messages by itself.',
  config: settings,
  reference: {
    substreams: 'What the tap offers in its catalog.',
    state: {
      example: { bookmarks: { orders: { updated_at: '2026-01-31T00:00:00Z' } } },
      doc: 'Whatever the tap writes, handed back to it as it was; most taps keep `bookmarks` by stream.',
    },
    page: 'singer.md',
  },
  // A tap is asked for its catalog.
  substreams: () => [],
  program: {
    discover: async (ctx) => await (await import('./tap.ts')).discoverTap(ctx),
    sync: async (ctx) => await (await import('./tap.ts')).syncTap(ctx),
  },
  check: async (ctx) => {
    await checkProgram(programConfig(ctx.config, 'streamer singer').command)
    if (ctx.config.discovery !== 'never') await (await import('./tap.ts')).discoverTap(ctx)
  },
})
