/**
 * `npm run check`: everything that can be said of the code without running it. One line a step, with its seconds; what
 * a failing step found stands below its line. Arguments name the steps to run; without any, all.
 */
import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkAssertions } from './check/assertions.ts'
import { checkHomes, unusedHomes } from './check/homes.ts'
import { checkCycles, checkLayers } from './check/layers.ts'
import { checkLinks, checkNamedPages } from './check/links.ts'
import { type Problem, readSources, type Source } from './check/sources.ts'

const root = resolve(fileURLToPath(new URL('..', import.meta.url)))

interface Step {
  readonly name: string
  readonly run: () => Promise<readonly Problem[]>
}

/** A step that is a program: its output is what it found, where it does not end with 0. */
const program =
  (script: string, ...args: readonly string[]): Step['run'] =>
  async () => {
    const child = spawn(process.execPath, [resolve(root, script), ...args], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const chunks: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
    const code = await new Promise<number | string>((done) => {
      child.on('error', (error) => done(error.message))
      child.on('close', (ended, signal) => done(ended ?? signal ?? 'no code'))
    })
    const said = Buffer.concat(chunks).toString().trimEnd()
    return code === 0 ? [] : [said === '' ? `ended with ${code}` : said]
  }

let parsed: Promise<readonly Source[]> | undefined
const sources = (): Promise<readonly Source[]> => (parsed ??= readSources(root))
const rule =
  (...checks: readonly ((sources: readonly Source[]) => readonly Problem[])[]): Step['run'] =>
  async () => {
    const all = await sources()
    return checks.flatMap((check) => check(all))
  }

/** The slow ones first. */
const steps: readonly Step[] = [
  { name: 'types', run: program('node_modules/typescript/bin/tsc', '-b') },
  { name: 'unused', run: program('node_modules/knip/bin/knip.js', '--no-progress', '--no-config-hints') },
  { name: 'generated', run: program('scripts/generate.ts', '--check') },
  { name: 'lint', run: program('node_modules/@biomejs/biome/bin/biome', 'lint', '--error-on-warnings', '.') },
  { name: 'format', run: program('node_modules/@biomejs/biome/bin/biome', 'format', '.') },
  { name: 'layers', run: rule(checkLayers, checkCycles) },
  { name: 'homes', run: rule(checkHomes, unusedHomes) },
  { name: 'assertions', run: rule(checkAssertions) },
  { name: 'links', run: async () => [...(await checkLinks(root)), ...checkNamedPages(root, await sources())] },
]

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !steps.some((step) => step.name === name))
if (unknown.length > 0) {
  process.stderr.write(
    `check: no step is called ${unknown.join(' or ')}; there are ${steps.map((step) => step.name).join(', ')}\n`,
  )
  process.exit(64)
}

const queue = steps.filter((step) => wanted.length === 0 || wanted.includes(step.name))
const count = queue.length
let failed = 0
const lane = async (): Promise<void> => {
  for (let step = queue.shift(); step !== undefined; step = queue.shift()) {
    const begun = performance.now()
    const problems = await step
      .run()
      .catch((error: unknown) => [error instanceof Error ? error.message : String(error)])
    if (problems.length > 0) failed += 1
    const seconds = ((performance.now() - begun) / 1000).toFixed(1)
    process.stdout.write(`${problems.length === 0 ? '✔' : '✖'} ${step.name}  ${seconds} s\n`)
    for (const problem of problems) process.stdout.write(`${problem.replaceAll(/^/gm, '    ')}\n`)
  }
}
await Promise.all([lane(), lane()])
process.stdout.write(
  failed === 0 ? `${count} ${count === 1 ? 'check' : 'checks'} passed\n` : `${failed} of ${count} checks failed\n`,
)
process.exitCode = failed === 0 ? 0 : 1
