import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { MillraceError, nearest } from '@millrace/sdk'
import { findProject, isEmptier, readProject, readStateText } from '@millrace/server'
import type { CommandSource } from '../command/definition.ts'
import { fileTrouble } from '../command/failure.ts'
import { stateLine } from '../project/show-state.ts'
import { openProjectStore } from '../project/store.ts'

export const command: CommandSource = {
  doc: 'Gives a pipeline another state: from a file, from stdin (-), as text, or the beginning. The one before stays in the log.',
  arguments: [
    { usage: '<name>', doc: 'the pipeline' },
    { usage: '[file]', doc: 'a state file, also one that states were appended to; - for stdin' },
  ],
  options: [
    { flags: '--value <json>', doc: 'the state itself' },
    { flags: '--beginning', doc: 'from the beginning: the next run reads everything' },
    { flags: '--allow-emptier-state', doc: 'accept a state that says less than the stored one' },
  ],
  json: true,
  examples: [
    { run: 'millrace state set history state.json', does: 'take over the state of another tool' },
    { run: 'millrace state set history --beginning', does: 'read everything again' },
  ],
  run: async ({ args, options, context }) => {
    const [name, file] = args as readonly [string, string | undefined]
    const value = options.text('value')
    const given = [file !== undefined, value !== undefined, options.flag('beginning')].filter(Boolean).length
    if (given !== 1) throw new MillraceError('COMMAND_USAGE', { why: 'give one of: a file, --value, --beginning' })
    const state = options.flag('beginning')
      ? undefined
      : value !== undefined
        ? readStateText(value, '--value')
        : readStateText(await contentOf(file as string, context.cwd), file as string)
    if (state === undefined && !options.flag('beginning'))
      throw new MillraceError('STATE_UNREADABLE', {
        source: file ?? '--value',
        why: 'it is empty; --beginning is the word for that',
      })
    using store = openProjectStore(context.cwd)
    await refuseUnknown(name, context.cwd, store.pipelines())
    const why =
      options.flag('beginning') || options.flag('allow-emptier-state')
        ? undefined
        : isEmptier(store.stateOf(name)?.text, state)
    if (why !== undefined) throw new MillraceError('STATE_EMPTIER', { pipeline: name, why })
    const entry = store.setState(name, state)
    if (context.json) context.printJson(entry)
    else context.say(`${name} goes on from ${stateLine(entry.text)} (state ${entry.id}).\n`)
  },
}

const contentOf = async (file: string, cwd: string): Promise<string> => {
  try {
    // A pipe on stdin may have nothing in it yet: reading it at once would fail with EAGAIN.
    return file === '-' ? await text(process.stdin) : readFileSync(resolve(cwd, file), 'utf8')
  } catch (e) {
    throw new MillraceError('STATE_UNREADABLE', { source: file, why: fileTrouble(e) }, { cause: e })
  }
}

/** A name that neither the store nor the project has is a slip of the pen. */
const refuseUnknown = async (name: string, cwd: string, stored: readonly string[]): Promise<void> => {
  const file = findProject(cwd)
  const known = [...new Set([...stored, ...(file === undefined ? [] : (await readProject(file)).pipelines.keys())])]
  if (!known.includes(name)) throw new MillraceError('PIPELINE_UNKNOWN', { name, near: nearest(name, known), known })
}
