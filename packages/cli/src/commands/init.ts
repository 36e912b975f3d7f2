import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { MillraceError } from '@millrace/sdk'
import { projectFileName } from '@millrace/server'
import type { CommandContext } from '../command/context.ts'
import type { CommandSource } from '../command/definition.ts'
import { editorSchema, writeEditorSchema } from '../project/editor-schema.ts'

/** The first project file: one pipeline that works as it stands. */
const projectText = (source: {
  readonly streamer: string
  readonly config: string
  readonly comment: string
}): string =>
  `# yaml-language-server: $schema=${editorSchema}
# Pipelines of this project. Run one with \`millrace run NAME\`, look before with \`millrace plan NAME\`.
version: 1

pipelines:
  # ${source.comment}
  first:
    from:
      streamer: ${source.streamer}
      config:
${source.config}    to:
      persister: duckdb
      config:
        path: first.duckdb
`

const gitSource = {
  streamer: 'git',
  config: "        path: '.'\n",
  comment: 'The history of this git repository into a database.',
}
const helloSource = {
  streamer: 'hello',
  config: '        count: 10\n',
  comment: 'A few greetings into a database: change "from" and "to" to what you have.',
}

export const command: CommandSource = {
  doc: 'Makes millrace.yaml in this folder, with one pipeline that works, and keeps .millrace out of git. Asks nothing.',
  options: [{ flags: '--force', doc: 'replace a millrace.yaml that is there' }],
  examples: [
    { run: 'millrace init && millrace run first', does: 'a project, and its first run' },
    { run: 'millrace init --cwd ~/data', does: 'in another folder' },
  ],
  run: async ({ options, context }) => {
    const file = join(context.cwd, projectFileName)
    if (existsSync(file) && !options.flag('force'))
      throw new MillraceError('COMMAND_USAGE', {
        why: `${file} is there already`,
        fix: 'Edit it, or replace it with --force.',
      })
    writeFileSync(file, projectText(existsSync(join(context.cwd, '.git')) ? gitSource : helloSource))
    ignore(context.cwd, ['.millrace/', '.env', 'node_modules/', '*.duckdb', '*.duckdb.wal'])
    writeEditorSchema(context.cwd)
    tell(context, file)
  },
}

const tell = (context: CommandContext, file: string): void => {
  context.print(`${file}\n`)
  context.say(
    '\nNext:\n  millrace check       try its settings\n  millrace plan first  what a run would do\n  millrace run first   do it; again, and only what is new comes\n',
  )
}

/** Adds lines to .gitignore that are not in it. */
const ignore = (folder: string, wanted: readonly string[]): void => {
  const file = join(folder, '.gitignore')
  const before = existsSync(file) ? readFileSync(file, 'utf8') : ''
  const known = new Set(before.split(/\r?\n/).map((l) => l.trim()))
  const missing = wanted.filter((w) => !known.has(w) && !known.has(w.replace(/\/$/, '')))
  if (missing.length === 0) return
  const lead = before === '' || before.endsWith('\n') ? '' : '\n'
  appendFileSync(
    file,
    `${lead}${before === '' ? `# ${basename(folder)}: what millrace makes\n` : ''}${missing.join('\n')}\n`,
  )
}
