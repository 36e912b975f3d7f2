import { choice, definePersister, type Field, type Persister } from '@millrace/sdk'
import { checkProgram } from '../../singer/check-program.ts'
import {
  programConfig,
  type ProgramSettingFields,
  type ProgramSettings,
  programSettings,
} from '../../singer/settings.ts'

export interface SingerTargetSettings extends ProgramSettings {
  readonly acknowledge: 'state' | 'exit'
}

const settings: ProgramSettingFields & { readonly acknowledge: Field<SingerTargetSettings['acknowledge']> } = {
  ...programSettings,
  acknowledge: choice(['state', 'exit'], {
    doc: 'What proves a state durable: that the target prints it, or (for one that never prints the last) exit code 0 as well',
    default: 'state',
  }),
}

/** Any Singer target (docs/reference/singer.md). */
export const singer: Persister = definePersister({
  name: 'singer',
  doc: 'Hands records to a Singer target, in any language; what the target acknowledges is what counts as stored.',
  config: settings,
  reference: { page: 'singer.md' },
  supports: { upsert: false, exactNumbers: true, versions: true, opensRecords: false, needsSchemas: true },
  async open(ctx) {
    const { SingerTarget } = await import('./session.ts')
    return new SingerTarget(ctx, ctx.config)
  },
  check: async ({ config }) => {
    await checkProgram(programConfig(config, 'persister singer').command)
  },
})
