/**
 * `npm test`: runs every *.test.ts of the repository, or those whose path contains one of the arguments.
 *
 * Prints a line a file, the message of each failing test, each skip with its reason, and last `N passed, N failed` (or
 * `N passed, N failed, N skipped`). Exit code 0 only where something passed and nothing failed. With CI set, a skip for
 * want of a tool or a service is a failure; a skip without a reason always is.
 *
 * Environment: MILLRACE_TEST_ROOT another folder to search, MILLRACE_TEST_TIMEOUT_MS the limit for one file.
 */
import { glob } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type FileResult, killAll, runFile } from './test/run-file.ts'
import { isMissingTool, runsAlone } from './test/rules.ts'

const root = process.env['MILLRACE_TEST_ROOT'] ?? resolve(fileURLToPath(new URL('..', import.meta.url)))
const timeoutMs = Number(process.env['MILLRACE_TEST_TIMEOUT_MS'] ?? 300_000)
const inCi = !['', 'false', '0', undefined].includes(process.env['CI'])
const wanted = process.argv.slice(2).map((part) => part.replace(/^\.\//, ''))

const files: string[] = []
for await (const file of glob('{packages,tests,examples,scripts,bench}/**/*.test.ts', {
  cwd: root,
  exclude: (path) => /(^|\/)(node_modules|dist|fixtures)(\/|$)/.test(path),
})) {
  if (wanted.length === 0 || wanted.some((part) => file.includes(part))) files.push(file)
}
files.sort()

const total = { passed: 0, failed: 0, skipped: 0 }
const skips: string[] = []
const failures: string[] = []

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const indent = (text: string): string => text.replaceAll(/^/gm, '      ')

/** Counts a file's tests and prints its line, with what failed below it. */
const tell = (result: FileResult): void => {
  const failed: string[] = []
  for (const test of result.tests) {
    const refusal =
      test.result !== 'skipped'
        ? undefined
        : test.reason === ''
          ? 'skipped without a reason'
          : inCi && isMissingTool(test.reason ?? '')
            ? `skipped in CI: ${test.reason}`
            : undefined
    if (test.result === 'failed' || refusal !== undefined) {
      total.failed += 1
      failed.push(`    ✖ ${test.name}\n${indent(refusal ?? test.error ?? '')}`)
      failures.push(`${result.file}: ${test.name}`)
    } else if (test.result === 'skipped') {
      total.skipped += 1
      skips.push(`${result.file}: ${test.name}: ${test.reason}`)
    } else total.passed += 1
  }
  say(`${failed.length === 0 ? '✔' : '✖'} ${result.file}  ${result.tests.length} in ${(result.ms / 1000).toFixed(1)} s`)
  for (const line of failed) say(line)
  if (failed.length > 0 && result.output.trim() !== '') say(`    what it wrote:\n${indent(result.output.trimEnd())}`)
}

/** Runs files, at most `width` at a time. */
const runAll = async (list: readonly string[], width: number): Promise<void> => {
  const queue = [...list]
  const lane = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      tell(await runFile(join(root, file), { cwd: root, timeoutMs }).then((r) => ({ ...r, file: file as string })))
    }
  }
  await Promise.all(Array.from({ length: width }, lane))
}

process.on('exit', killAll)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => process.exit(signal === 'SIGINT' ? 130 : 143))

const begun = performance.now()
const width = Math.max(2, Math.min(4, availableParallelism()))
await runAll(
  files.filter((file) => !runsAlone(file)),
  width,
)
await runAll(
  files.filter((file) => file.endsWith('.kill.test.ts')),
  2,
)
await runAll(
  files.filter((file) => runsAlone(file) && !file.endsWith('.kill.test.ts')),
  1,
)

if (skips.length > 0) say(`\nskipped:\n${skips.map((line) => `  ${line}`).join('\n')}`)
if (failures.length > 0) say(`\nfailed:\n${failures.map((line) => `  ${line}`).join('\n')}`)
if (files.length === 0) say(`no test file${wanted.length === 0 ? '' : ` has ${wanted.join(' or ')} in its path`}`)
say(`\n${files.length} files in ${((performance.now() - begun) / 1000).toFixed(1)} s`)
say(`${total.passed} passed, ${total.failed} failed${total.skipped === 0 ? '' : `, ${total.skipped} skipped`}`)
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0
