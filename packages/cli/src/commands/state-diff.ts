import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { MillraceError } from '@millrace/sdk'
import { diffStates, readStateText, type StateEntry, type Store } from '@millrace/server'
import type { CommandSource } from '../command/definition.ts'
import { short } from '../project/show-state.ts'
import { knownPipeline, withStore } from '../project/store.ts'

export const command: CommandSource = {
  doc: 'What changed between two states of a pipeline; without ids, between the last two.',
  arguments: [
    { usage: '[name]', doc: 'the pipeline; may be left out where there is only one' },
    { usage: '[before]', doc: 'id of the earlier state, from `millrace state log`' },
    { usage: '[after]', doc: 'id of the later state (default: the newest)' },
  ],
  options: [{ flags: '--file <file>', doc: 'compare the state with this file' }],
  json: true,
  examples: [
    { run: 'millrace state diff history', does: 'what the last run moved' },
    { run: 'millrace state diff history 3 7', does: 'between two entries of the log' },
    { run: 'millrace state diff history --file state.json', does: 'what setting it would change' },
  ],
  run: async ({ args, options, context }) =>
    await withStore(context, (store) => {
      const [name, before, after] = args
      const pipeline = knownPipeline(store, name)
      const file = options.text('file')
      const changes =
        file === undefined
          ? diffStates(earlier(store, pipeline, before)?.text, later(store, pipeline, after)?.text)
          : diffStates(
              store.stateOf(pipeline)?.text,
              readStateText(readFileSync(resolve(context.cwd, file), 'utf8'), file),
            )
      if (context.json) return context.printJson(changes)
      if (changes.length === 0) return context.say('Nothing changed.\n')
      for (const { path, kind, before: was, after: is } of changes)
        context.print(
          kind === 'added'
            ? `${context.style.green('+')} ${path}: ${short(is ?? '')}\n`
            : kind === 'removed'
              ? `${context.style.red('-')} ${path}: ${short(was ?? '')}\n`
              : `${context.style.yellow('~')} ${path}: ${short(was ?? '')} → ${short(is ?? '')}\n`,
        )
    }),
}

const entry = (store: Store, pipeline: string, id: string): StateEntry => {
  const found = store.stateLog(pipeline, 100_000).find((e) => String(e.id) === id)
  if (found === undefined)
    throw new MillraceError('COMMAND_USAGE', {
      why: `pipeline ${pipeline} never had a state ${id}`,
      fix: `\`millrace state log ${pipeline}\` lists them.`,
    })
  return found
}

const later = (store: Store, pipeline: string, id: string | undefined): StateEntry | undefined =>
  id === undefined ? store.stateLog(pipeline, 1)[0] : entry(store, pipeline, id)

const earlier = (store: Store, pipeline: string, id: string | undefined): StateEntry | undefined =>
  id === undefined ? store.stateLog(pipeline, 2)[1] : entry(store, pipeline, id)
