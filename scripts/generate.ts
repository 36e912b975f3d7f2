/**
 * `npm run generate`: writes every generated file of the repository. With `--check` it writes nothing and fails where
 * a file is not what its generator makes.
 *
 * A generator is a file of scripts/generate/ that exports `files()`: paths from the root → content. Arguments name the
 * generators to run; without any, all.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

type Generator = () => Promise<Readonly<Record<string, string>>>

const root = resolve(fileURLToPath(new URL('..', import.meta.url)))
process.chdir(root)

const args = process.argv.slice(2)
const checking = args.includes('--check')
const wanted = args.filter((arg) => !arg.startsWith('--'))

/** What others are made from comes first; the list of pages last. */
const order = (name: string): number => (name === 'manifest' ? 0 : name === 'llms' ? 2 : 1)

const names = (await readdir('scripts/generate'))
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  .map((file) => file.slice(0, -'.ts'.length))
  .sort((a, b) => order(a) - order(b) || (a < b ? -1 : 1))
const unknown = wanted.filter((name) => !names.includes(name))
if (unknown.length > 0) {
  process.stderr.write(`generate: no generator is called ${unknown.join(' or ')}; there are ${names.join(', ')}\n`)
  process.exit(64)
}

const readText = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined)

const run = async (name: string): Promise<readonly string[]> => {
  const module = (await import(`./generate/${name}.ts`)) as { readonly files?: Generator }
  if (module.files === undefined) throw new Error('exports no files()')
  const problems: string[] = []
  for (const [path, content] of Object.entries(await module.files())) {
    const before = await readText(path)
    if (before === content) continue
    if (checking) {
      problems.push(`${path} ${before === undefined ? 'is not there' : 'is not what its generator makes'}`)
      continue
    }
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, content)
    process.stdout.write(`wrote ${path}\n`)
  }
  return problems
}

let failed = false
for (const name of names.filter((one) => wanted.length === 0 || wanted.includes(one))) {
  try {
    for (const problem of await run(name)) {
      failed = true
      process.stdout.write(`${problem}: npm run generate ${name}\n`)
    }
  } catch (error) {
    failed = true
    process.stdout.write(
      `scripts/generate/${name}.ts: ${error instanceof Error ? error.message.split('\n')[0] : error}\n`,
    )
  }
}
process.exitCode = failed ? 1 : 0
