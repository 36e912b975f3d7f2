import { readFile } from 'node:fs/promises'
import { glob } from 'node:fs/promises'

/** The first heading of a page. */
const titleOf = (text: string): string => /^# (.+)$/m.exec(text)?.[1]?.trim() ?? ''

/** The first sentence of the first paragraph of a page, on one line. */
export const firstSentence = (text: string): string => {
  const paragraph = text
    .replaceAll(/<!--[\s\S]*?-->/g, '')
    .split(/\n\s*\n/)
    .map((part) => part.trim())
    .find((part) => part !== '' && !/^(#|\||```|[-*>] |!\[|\d+\. )/.test(part))
  const line = (paragraph ?? '')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/\[([^\]]+)\]\([^)]*\)/g, '$1')
    .replace(/^\*\*[^*]+\*\* /, '')
  return /^.*?[.!?](?=\s|$)/.exec(line)?.[0] ?? line
}

const sections: readonly (readonly [title: string, pattern: string])[] = [
  ['Start', '{README,CONTRIBUTING,CHANGELOG}.md'],
  ['Tutorial', 'docs/tutorial/**/*.md'],
  ['How to', 'docs/how-to/**/*.md'],
  ['Reference', 'docs/reference/**/*.md'],
  ['Explanation', 'docs/{*,explain/*}.md'],
  ['Decisions', 'docs/decisions/*.md'],
]

/** llms.txt: every page with its first sentence, for readers that are programs. */
export const files = async (): Promise<Readonly<Record<string, string>>> => {
  const readme = await readFile('README.md', 'utf8')
  const parts = [`# ${titleOf(readme)}`, `> ${firstSentence(readme)}`]
  for (const [title, pattern] of sections) {
    const pages: string[] = []
    for await (const page of glob(pattern)) pages.push(page)
    const lines: string[] = []
    for (const page of pages.sort()) {
      const text = await readFile(page, 'utf8')
      lines.push(`- [${titleOf(text)}](${page}): ${firstSentence(text)}`)
    }
    if (lines.length > 0) parts.push(`## ${title}\n\n${lines.join('\n')}`)
  }
  return { 'llms.txt': `${parts.join('\n\n')}\n` }
}
