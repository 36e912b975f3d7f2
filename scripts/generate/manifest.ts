import { readdir } from 'node:fs/promises'

const home = 'packages/connectors/src'

/** `google-sheets` is exported as `googleSheets`. */
const exportName = (folder: string): string =>
  folder.replaceAll(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())

const foldersOf = async (kind: string): Promise<readonly string[]> => {
  const entries = await readdir(`${home}/${kind}`, { withFileTypes: true })
  const folders: string[] = []
  for (const entry of entries) {
    if (!entry.isDirectory()) continue
    const files = await readdir(`${home}/${kind}/${entry.name}`)
    if (files.includes('index.ts')) folders.push(entry.name)
  }
  return folders.sort()
}

const tableOf = async (kind: string, type: string): Promise<string> => {
  const lines = (await foldersOf(kind)).map((folder) => {
    const key = /^[a-z][a-z0-9]*$/.test(folder) ? folder : `'${folder}'`
    return `  ${key}: async () => (await import('./${kind}/${folder}/index.ts')).${exportName(folder)},\n`
  })
  return `export const ${kind}: Readonly<Record<string, () => Promise<${type}>>> = {\n${lines.join('')}}\n`
}

/** The connectors that come with Millrace: every folder with an index.ts. */
export const files = async (): Promise<Readonly<Record<string, string>>> => ({
  [`${home}/manifest.ts`]: [
    '/** The connectors that come with Millrace, by their folders. Made by scripts/generate/manifest.ts; do not edit. */',
    `import type { Persister, Streamer } from '@millrace/sdk'\n`,
    await tableOf('streamers', 'Streamer'),
    await tableOf('persisters', 'Persister'),
  ].join('\n'),
})
