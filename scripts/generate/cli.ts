import { execFileSync } from 'node:child_process'
import { helpOf } from '../../packages/cli/src/command/invoke.ts'
import { commandTable } from '../../packages/cli/src/commands/table.ts'
import { generatedNote } from './parts/markdown.ts'

/** The columns of the screen that the page is for. */
const width = 80

/** What `millrace --help` prints. Of the others each is asked here: a process for each would keep the machine busy for a minute. */
const overview = (): string => {
  const { PATH = '' } = process.env
  return execFileSync(process.execPath, ['packages/cli/bin/millrace.mjs', '--help'], {
    env: { PATH, NO_COLOR: '1', COLUMNS: String(width) },
    encoding: 'utf8',
  }).trim()
}

const block = (text: string): string => `\`\`\`text\n${text}\n\`\`\``

/** The reference of the command line: what each command's --help says. */
export const files = async (): Promise<Readonly<Record<string, string>>> => {
  const each: string[] = []
  for (const { path, load } of commandTable)
    each.push(`## millrace ${path}\n\n${block(await helpOf(path, await load(), width))}`)
  const page = [
    '# The command line',
    'Every command of `millrace`, as its `--help` tells it.',
    generatedNote('the command table in packages/cli/src/commands'),
    block(overview()),
    ...each,
  ]
  return { 'docs/reference/cli.md': `${page.join('\n\n')}\n` }
}
