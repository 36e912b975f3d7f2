import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { commandTable } from '../../packages/cli/src/commands/table.ts'
import { generatedNote } from './parts/markdown.ts'

const execute = promisify(execFile)

/** What `millrace … --help` prints, on a screen 100 columns wide and without the settings of whoever runs this. */
const helpOf = async (words: readonly string[]): Promise<string> => {
  const { PATH = '' } = process.env
  const args = ['packages/cli/bin/millrace.mjs', ...words, '--help']
  const { stdout } = await execute(process.execPath, args, { env: { PATH, NO_COLOR: '1', COLUMNS: '100' } })
  return stdout.trim()
}

const block = (text: string): string => `\`\`\`text\n${text}\n\`\`\``

/** The reference of the command line: what each command's --help says. */
export const files = async (): Promise<Readonly<Record<string, string>>> => {
  const section = async (path: string): Promise<string> =>
    `## millrace ${path}\n\n${block(await helpOf(path.split(' ')))}`
  const [all, ...each] = await Promise.all([helpOf([]), ...commandTable.map((entry) => section(entry.path))])
  const page = [
    '# The command line',
    'Every command of `millrace`, as its `--help` tells it.',
    generatedNote('the command table in packages/cli/src/commands'),
    block(all ?? ''),
    ...each,
  ]
  return { 'docs/reference/cli.md': `${page.join('\n\n')}\n` }
}
