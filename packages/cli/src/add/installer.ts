/** Runs an installer to its end, its words to stderr, and says in a line why it failed. */
import { spawn } from 'node:child_process'
import { Lines, MillraceError, systemCode, Tail } from '@millrace/sdk'

export interface InstallerRun {
  /** What is installed, for errors. */
  readonly name: string
  readonly argv: readonly string[]
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  readonly say: (line: string) => void
  /** What to do where the program is not there. */
  readonly missing: { readonly why: string; readonly fix: string }
}

/** Answers what it wrote to stdout. Throws INSTALL_FAILED, INTERRUPTED. */
export const runInstaller = async (run: InstallerRun): Promise<string> => {
  const [file = '', ...args] = run.argv
  const child = spawn(file, args, {
    cwd: run.cwd,
    env: { ...process.env, ...run.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: run.signal,
  })
  const tail = new Tail()
  const lines = new Lines({ maxBytes: 64 * 1024, tooLong: 'cut' }, (line) => {
    tail.add(line)
    run.say(line)
  })
  const out: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => lines.push(chunk))
  const code = await new Promise<number | null>((done, failed) => {
    child.on('error', failed)
    child.on('close', done)
  }).catch((e: unknown) => {
    if (run.signal.aborted) throw new MillraceError('INTERRUPTED', {})
    if (systemCode(e) === 'ENOENT')
      throw new MillraceError('INSTALL_FAILED', { name: run.name, ...run.missing }, { cause: e })
    throw e
  })
  if (run.signal.aborted) throw new MillraceError('INTERRUPTED', {})
  if (code === 0) return Buffer.concat(out).toString('utf8')
  const said = `${tail}\n${Buffer.concat(out).toString('utf8').slice(-4000)}`
  throw new MillraceError('INSTALL_FAILED', { name: run.name, ...whyOf(said, code, file) })
}

/** What installers say when something usual is wrong, and what to do then. */
const usual: readonly (readonly [RegExp, string, string])[] = [
  [
    /ensurepip is not available|No module named '?"?(venv|ensurepip)/,
    'this Python has no venv',
    'Install it (on Debian and Ubuntu: apt install python3-venv), or name another Python with --python.',
  ],
  [/No module named '?"?pip/, 'this Python has no pip', 'Install pip, or name another Python with --python.'],
  [
    /NewConnectionError|ConnectionError|Temporary failure in name resolution|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ProxyError|ReadTimeout/,
    'the registry cannot be reached',
    'Check the network, or name another registry with --index-url, a wheel or a folder.',
  ],
  [
    /from versions: none/,
    'no registry that was asked has it',
    'Check the name; --index-url names another registry, and a wheel or a folder does without one.',
  ],
  [
    /does not appear to be a Python project/,
    'the folder is not a Python project',
    'It needs a pyproject.toml or a setup.py.',
  ],
]

const whyOf = (said: string, code: number | null, file: string): { readonly why: string; readonly fix?: string } => {
  for (const [pattern, why, fix] of usual) if (pattern.test(said)) return { why, fix }
  const lines = said.split('\n').map((l) => l.trim())
  const line =
    lines.find((l) => /^(ERROR|npm (error|ERR!) (?!code|A complete log))/.test(l)) ?? lines.findLast((l) => l !== '')
  return {
    why:
      line === undefined
        ? `${file} ended with exit code ${code}`
        : line.replace(/^(ERROR:?|npm (error|ERR!)( \d+)?)\s*/, '').slice(0, 300),
  }
}
