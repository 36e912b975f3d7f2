/** Runs one test file in a process group of its own, with a time limit, and gathers what its tests said. */
import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Ended } from './reporter.ts'

export interface FileResult {
  readonly file: string
  readonly ms: number
  readonly tests: readonly Ended[]
  /** The end of what the file wrote on stdout and stderr; shown where something failed. */
  readonly output: string
}

const reporter = fileURLToPath(new URL('./reporter.ts', import.meta.url))
const maxOutputChars = 4_000
/** What was compiled once: suites that start programs again and again spend two fifths of their processor time on it otherwise. */
const compileCache = join(tmpdir(), 'node-compile-cache')

/** Process groups under way, so that an interrupted run leaves none behind. */
const groups = new Set<number>()
/** Kills every test file that is still running, with its children. */
export const killAll = (): void => {
  for (const group of groups) killGroup(group)
}
const killGroup = (group: number): void => {
  try {
    process.kill(-group, 'SIGKILL')
  } catch {
    // It ended just now.
  }
}

const parse = (text: string): readonly Ended[] =>
  text.split('\n').flatMap((line) => {
    if (line === '') return []
    try {
      return [JSON.parse(line) as Ended]
    } catch {
      return [] // the last line of a file that was killed while writing
    }
  })

/**
 * Runs `file`; answers when its process has ended. A file that crashes, that has no test, that ends badly though all
 * its tests passed, or that is not done after `timeoutMs`, gets one failed test in the name of the file.
 */
export const runFile = async (
  file: string,
  options: { readonly cwd: string; readonly timeoutMs: number },
): Promise<FileResult> => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-test-'))
  const results = join(folder, 'results')
  const log = join(folder, 'output')
  const out = openSync(log, 'w')
  const begun = performance.now()
  try {
    // NODE_TEST_CONTEXT makes a child of a test believe that it reports to a parent, and stay silent.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const child = spawn(
      process.execPath,
      ['--no-warnings', `--test-reporter=${reporter}`, `--test-reporter-destination=${results}`, file],
      {
        cwd: options.cwd,
        env: { NODE_COMPILE_CACHE: compileCache, ...env },
        detached: true,
        stdio: ['ignore', out, out],
      },
    )
    const group = child.pid
    if (group !== undefined) groups.add(group)
    let late = false
    const timer = setTimeout(() => {
      late = true
      if (group !== undefined) killGroup(group)
    }, options.timeoutMs)
    const ending = await new Promise<string>((done) => {
      child.on('error', (error) => done(error.message))
      child.on('exit', (code, signal) => done(signal ?? (code === 0 ? '' : `exit code ${code}`)))
    })
    clearTimeout(timer)
    if (group !== undefined) {
      killGroup(group) // children that the file left behind
      groups.delete(group)
    }
    const tests = parse(readText(results))
    const failed = tests.some((test) => test.result === 'failed')
    const fault = late
      ? `not done after ${options.timeoutMs / 1000} s: a test hangs, or something it opened keeps it alive`
      : ending !== '' && !failed
        ? `ended with ${ending}${tests.length === 0 ? ' before its first test' : ' though no test failed'}`
        : tests.length === 0
          ? 'has no test'
          : undefined
    const all =
      fault === undefined ? tests : [...tests, { name: '(the file itself)', result: 'failed' as const, error: fault }]
    return { file, ms: performance.now() - begun, tests: all, output: readText(log).slice(-maxOutputChars) }
  } finally {
    closeSync(out)
    rmSync(folder, { recursive: true, force: true })
  }
}

const readText = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // never opened: the file crashed at once
  }
}
