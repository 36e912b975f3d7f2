import { builtInPersisters, builtInStreamers } from '@millrace/connectors'
import { type CommandDefinition, commonOptions } from '../command/definition.ts'
import type { CommandSource } from '../command/definition.ts'
import { completionScript, type Completions } from '../command/completion-script.ts'
import { aliases, commandTable } from './table.ts'

export const command: CommandSource = {
  doc: 'Prints a script that completes commands, options and the names of connectors and pipelines.',
  arguments: [{ usage: '<shell>', doc: 'which shell', choices: ['bash', 'zsh', 'fish'] }],
  examples: [
    { run: 'source <(millrace completions bash)', does: 'in ~/.bashrc' },
    { run: 'source <(millrace completions zsh)', does: 'in ~/.zshrc, after compinit' },
    { run: 'millrace completions fish > ~/.config/fish/completions/millrace.fish', does: 'once' },
  ],
  run: async ({ args, context }) => {
    context.print(completionScript(args[0] as 'bash' | 'zsh' | 'fish', await gather()))
  },
}

/** Every command with its words for what may come next. */
const gather = async (): Promise<Completions> => {
  const commands = await Promise.all(
    commandTable.map(async ({ path, summary, load }) => {
      const source = await load()
      const loaded = typeof source === 'function' ? await source([]) : source
      const definition: CommandDefinition = 'definition' in loaded ? loaded.definition : loaded
      const flags = [...(definition.options ?? []), ...commonOptions(definition), { flags: '--help', doc: 'show help' }]
      return {
        path,
        summary,
        options: flags
          .map((o) => ({ flag: /--[a-z][a-z.-]*/.exec(o.flags)?.[0] ?? '', doc: o.doc, choices: o.choices ?? [] }))
          .filter((o) => o.flag !== ''),
        words:
          path === 'streamer'
            ? builtInStreamers().names()
            : path === 'persister'
              ? builtInPersisters().names()
              : (definition.arguments?.[0]?.choices ?? []),
        verbs: path === 'streamer' || path === 'persister' ? (definition.arguments?.[1]?.choices ?? []) : [],
      }
    }),
  )
  return { commands, aliases, streamers: builtInStreamers().names(), persisters: builtInPersisters().names() }
}
