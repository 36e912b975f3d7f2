/** Links between the pages of the repository: each file, and each heading, must be there. */
import { existsSync, readFileSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { lineAt, type Problem, type Source } from './sources.ts'

/** The anchor that a heading gets on the forges: lower case, no punctuation, dashes for spaces. */
export const anchorOf = (heading: string): string =>
  heading
    .replaceAll(/[`*]|\[([^\]]*)\]\([^)]*\)/g, '$1')
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-')

const withoutCode = (text: string): string =>
  text
    .replaceAll(/^(```|~~~)[^\n]*\n[\s\S]*?^\1/gm, (block) => block.replaceAll(/[^\n]/g, ' '))
    .replaceAll(/`[^`\n]*`/g, (code) => ' '.repeat(code.length))

const anchorsOf = (text: string): ReadonlySet<string> =>
  new Set([...text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#{1,6} (.+)$/gm)].map((m) => anchorOf(m[1] ?? '')))

/** Links of every Markdown page that lead nowhere. Addresses on the web are not asked. */
export const checkLinks = async (root: string): Promise<readonly Problem[]> => {
  const problems: Problem[] = []
  const skip = (path: string): boolean => /(^|\/)(node_modules|dist|lib|fixtures|\.git|\.millrace)(\/|$)/.test(path)
  for await (const page of glob('**/*.{md,txt}', { cwd: root, exclude: skip })) {
    if (page.endsWith('.txt') && !page.endsWith('llms.txt')) continue
    const text = readFileSync(join(root, page), 'utf8')
    for (const link of withoutCode(text).matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g)) {
      const target = link[1] ?? ''
      if (/^[a-z][a-z+.-]*:/i.test(target)) continue
      const [path = '', anchor] = decodeURI(target).split('#')
      const file = path === '' ? join(root, page) : resolve(root, dirname(page), path)
      const say = (why: string): void => void problems.push(`${page}:${lineAt(text, link.index)}: ${target}: ${why}`)
      if (relative(root, file).startsWith('..')) say('leaves the repository')
      else if (!existsSync(file)) say('there is no such file')
      else if (
        anchor !== undefined &&
        anchor !== '' &&
        file.endsWith('.md') &&
        !anchorsOf(readFileSync(file, 'utf8')).has(anchor)
      )
        say('there is no such heading')
    }
  }
  return problems
}

/** Pages that the code names, in comments and in what it tells users, and that are not there. */
export const checkNamedPages = (root: string, sources: readonly Source[]): readonly Problem[] =>
  sources
    .filter(({ path }) => !path.endsWith('.test.ts') && !path.startsWith('scripts/'))
    .flatMap(({ path, text }) =>
      [...text.matchAll(/(?<![\w/-])docs\/[\w/.-]+\.md\b/g)]
        .filter((name) => !existsSync(join(root, name[0])))
        .map((name) => `${path}:${lineAt(text, name.index)}: names ${name[0]}, which is not there`),
    )
