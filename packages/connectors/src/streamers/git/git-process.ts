import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { MillraceError, systemCode } from '@millrace/sdk'

/**
 * Settings given to every call, so that neither the user's configuration nor the repository's changes what comes out,
 * and so that nothing of a foreign repository is executed. With that, git's guard against repositories of other owners
 * (`safe.directory`) can be lifted for the path that the user named: only that path is read.
 */
const fixedSettings: readonly string[] = [
  'safe.directory=*',
  'core.fsmonitor=false',
  'core.quotePath=false',
  'core.pager=cat',
  'color.ui=false',
  'log.showSignature=false',
  'log.mailmap=false',
  'log.showRoot=true',
  'diff.renames=true',
  'diff.renameLimit=1000',
  'diff.algorithm=myers',
  'diff.noprefix=false',
  'diff.relative=false',
  'diff.ignoreSubmodules=none',
  'i18n.logOutputEncoding=UTF-8',
]

/** Variables that would point git elsewhere, as they are set inside hooks. */
const unwanted: ReadonlySet<string> = new Set([
  'GIT_DIR',
  'GIT_WORK_TREE',
  'GIT_INDEX_FILE',
  'GIT_OBJECT_DIRECTORY',
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_NAMESPACE',
  'GIT_EXTERNAL_DIFF',
  'GIT_DIFF_OPTS',
  'GIT_PREFIX',
  'GIT_CEILING_DIRECTORIES',
])

const environment = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !unwanted.has(name))),
  LC_ALL: 'C',
  GIT_OPTIONAL_LOCKS: '0',
  GIT_TERMINAL_PROMPT: '0',
  GIT_FLUSH: '0',
})

/** As much of git's stderr as is kept for an error, in bytes. */
const tailBytes = 4096

/**
 * Runs git in a repository and gives its output as it comes, at the pace it is taken. Ends the process when the caller
 * stops early. Throws SOURCE_REFUSED where git is missing or the path is no repository, SOURCE_UNAVAILABLE where git
 * fails otherwise.
 */
export async function* git(
  path: string,
  args: readonly string[],
  options: { readonly input?: string | undefined; readonly signal: AbortSignal },
): AsyncGenerator<Buffer, void, undefined> {
  const child = spawn('git', [...fixedSettings.flatMap((s) => ['-c', s]), '--no-pager', '-C', path, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: environment(),
  })
  const ended = outcome(child)
  // Where it cannot be started, its output never ends by itself.
  if (child.pid === undefined) throw failure(path, await ended, '')
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-tailBytes)
  })
  // It may end before it read everything; how it ended tells more than the broken pipe.
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  const stop = (): void => {
    child.kill('SIGTERM')
  }
  if (options.signal.aborted) stop()
  else options.signal.addEventListener('abort', stop, { once: true })
  let finished = false
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer
    finished = true
  } finally {
    options.signal.removeEventListener('abort', stop)
    if (!finished) child.kill('SIGKILL')
    await ended
  }
  const end = await ended
  if (!options.signal.aborted && (end.error !== undefined || end.code !== 0)) throw failure(path, end, stderr)
}

interface Outcome {
  readonly code: number | null
  readonly error?: Error
}

const outcome = (child: ChildProcessByStdio<Writable, Readable, Readable>): Promise<Outcome> =>
  new Promise((done) => {
    child.once('error', (error) => done({ code: null, error }))
    child.once('close', (code) => done({ code }))
  })

const failure = (path: string, end: Outcome, stderr: string): MillraceError => {
  const what = `repository ${path}`
  if (end.error !== undefined) {
    if (systemCode(end.error) === 'ENOENT')
      return new MillraceError(
        'SOURCE_REFUSED',
        { what, why: 'the program git was not found', fix: 'Install git, and see that it is on the PATH.' },
        { cause: end.error },
      )
    return new MillraceError(
      'SOURCE_UNAVAILABLE',
      { what, why: `git cannot be started: ${end.error.message}` },
      { cause: end.error },
    )
  }
  const lines = stderr.split('\n').filter((l) => l.trim() !== '')
  const why = (lines.find((l) => l.startsWith('fatal:')) ?? lines.at(-1) ?? `git ended with ${end.code}`).replace(
    /^fatal: /,
    '',
  )
  if (/not a git repository|cannot change to|No such file|Not a directory/.test(why))
    return new MillraceError('SOURCE_REFUSED', { what, why, fix: 'Give the path of a git repository, with --path.' })
  return new MillraceError('SOURCE_UNAVAILABLE', {
    what,
    why,
    fix: 'See what `git fsck` says of the repository, and try again.',
  })
}

/** All output of a call whose output is small. */
export const gitOutput = async (
  path: string,
  args: readonly string[],
  options: { readonly input?: string; readonly signal: AbortSignal },
): Promise<Buffer> => {
  const parts: Buffer[] = []
  for await (const chunk of git(path, args, options)) parts.push(chunk)
  return Buffer.concat(parts)
}
