/**
 * Finds the command, runs it and ends with its exit code. What every call pays for is here, so this file imports
 * nothing but the table of commands; parsing, colours and the rest come with the command itself.
 */
import './command/handed-over.ts'
import { version } from './command/version.ts'
import { aliases, type CommandEntry, commandTable, groupDefaults, groups } from './commands/table.ts'

/** Runs millrace with these arguments and ends the process. Never rejects. */
export const main = async (argv: readonly string[]): Promise<void> => {
  let lost: NodeJS.ErrnoException | undefined
  process.stdout.on('error', (e: NodeJS.ErrnoException) => {
    // Commands that write messages look for themselves.
    if (process.stdout.listenerCount('error') > 1) return
    // `millrace runs list | head -1`: the reader has what it wanted.
    if (e.code === 'EPIPE') process.exit(0)
    lost ??= e
  })
  process.stderr.on('error', () => {})
  let code: number
  let found: Found | undefined
  try {
    found = find(argv)
    code = await runFound(found)
  } catch (e) {
    code = await fail(e, argv, found).catch((second: unknown) => {
      // Not even the words for errors could be loaded.
      process.stderr.write(`millrace cannot start: ${(second as Error).message}\n  Install it again.\n`)
      return 70
    })
  }
  await drained()
  if (lost !== undefined && code === 0) code = await failLost(lost, argv, found)
  process.exit(code)
}

type Found =
  | { readonly is: 'text'; readonly text: string }
  | { readonly is: 'command'; readonly entry: CommandEntry; readonly argv: readonly string[] }
  | {
      readonly is: 'unknown'
      readonly word: string
      readonly known: readonly string[]
      readonly group: string | undefined
    }

const runFound = async (found: Found): Promise<number> => {
  if (found.is === 'text') {
    process.stdout.write(found.text)
    return 0
  }
  if (found.is === 'unknown') {
    const { MillraceError, nearest } = await import('@millrace/sdk')
    const near = nearest(found.word, found.known)
    const group = found.group === undefined ? '' : `${found.group} `
    throw new MillraceError('COMMAND_USAGE', {
      why: `millrace ${group}has no command "${found.word}"${near.length > 0 ? ` — did you mean ${near.map((n) => `${group}${n}`).join(' or ')}?` : ''}`,
      fix: found.group === undefined ? 'See `millrace --help`.' : `See \`millrace ${found.group} --help\`.`,
    })
  }
  const [{ invoke }, source] = await Promise.all([import('./command/invoke.ts'), found.entry.load()])
  return await invoke(found.entry.path, source, found.argv)
}

/** Which command the words mean. Help and version need nothing else. */
const find = (argv: readonly string[]): Found => {
  const [first, ...rest] = argv
  if (first === undefined || first === '--help' || first === '-h') return { is: 'text', text: overview(commandTable) }
  if (first === '--version' || first === '-V') return { is: 'text', text: `${version()}\n` }
  if (first === 'help') return find([...rest.filter((w) => !w.startsWith('-')), '--help'])
  const word = aliases[first] ?? first
  const single = commandTable.find((c) => c.path === word)
  if (single !== undefined) return { is: 'command', entry: single, argv: rest }
  const members = commandTable.filter((c) => c.path.startsWith(`${word} `))
  if (members.length === 0)
    return { is: 'unknown', word: first, known: [...topWords(), ...Object.keys(aliases)], group: undefined }
  const verb = rest[0]
  if (verb === '--help' || verb === '-h') return { is: 'text', text: overview(members) }
  const byDefault = commandTable.find((c) => c.path === groupDefaults[word])
  if ((verb === undefined || verb.startsWith('-')) && byDefault !== undefined)
    return { is: 'command', entry: byDefault, argv: rest }
  const member = members.find((c) => c.path === `${word} ${verb}`)
  if (member !== undefined) return { is: 'command', entry: member, argv: rest.slice(1) }
  return { is: 'unknown', word: String(verb), known: members.map((c) => c.path.slice(word.length + 1)), group: word }
}

const topWords = (): readonly string[] => [...new Set(commandTable.map((c) => c.path.split(' ')[0] as string))]

const overview = (entries: readonly CommandEntry[]): string => {
  const whole = entries.length === commandTable.length
  const lines = entries.map((c) => ({ ...c, left: `${c.path} ${c.usage}`.trim() }))
  const width = Math.min(36, Math.max(...lines.map((l) => l.left.length)))
  const of = (group: string): string => {
    const own = lines.filter((l) => l.group === group)
    if (own.length === 0) return ''
    const text = own.map((l) =>
      l.left.length > width
        ? `  ${l.left}\n  ${' '.repeat(width)}  ${l.summary}\n`
        : `  ${l.left.padEnd(width)}  ${l.summary}\n`,
    )
    return `\n${whole ? `${group}\n` : ''}${text.join('')}`
  }
  const head = whole
    ? `millrace ${version()}: moves data, any streamer into any persister, incrementally, with closed books.\n`
    : ''
  const tail = whole
    ? `\nExamples:
  $ millrace demo
      the commits of this git repository, in a database
  $ millrace run --from git --from.path . --to duckdb --to.path history.duckdb
      the same, said in full
  $ millrace streamer git --path . | millrace persister jsonl --path out >> state.json
      the same as a Singer pipe
`
    : ''
  const first = entries[0]?.path.split(' ')[0]
  return `${head}\nUsage: millrace ${whole ? '<command>' : `${first} <command>`} [options]; each command answers --help.\n${Object.values(groups).map(of).join('')}${tail}`
}

/** An answer that could not be written was not given, whatever was done: `millrace runs > /dev/full`. */
const failLost = async (
  e: NodeJS.ErrnoException,
  argv: readonly string[],
  found: Found | undefined,
): Promise<number> => {
  const { MillraceError } = await import('@millrace/sdk')
  const why = e.code === 'ENOSPC' ? 'the disk is full' : (e.code ?? e.message)
  const fix = 'What the command did is done; only its answer could not be written.'
  return await fail(
    new MillraceError('DESTINATION_UNAVAILABLE', { what: 'stdout', why, fix }, { cause: e }),
    argv,
    found,
  )
}

const fail = async (e: unknown, argv: readonly string[], found: Found | undefined): Promise<number> => {
  const [{ exitCodeFor, failureText }, { logFormatOf }] = await Promise.all([
    import('./command/failure.ts'),
    import('./command/context.ts'),
  ])
  const asked = argv.includes('--log-format')
    ? argv[argv.indexOf('--log-format') + 1]
    : argv.find((a) => a.startsWith('--log-format='))?.slice(13)
  const code = exitCodeFor(e)
  // A slip of the pen is for the one who typed it; everything else belongs into the log, where there is one.
  const logs =
    found?.is === 'command' &&
    code !== 64 &&
    (found.entry.logs === true ? logFormatOf(asked, process.env) : asked) === 'json'
  process.stderr.write(failureText(e, argv.includes('--json') ? 'json' : logs ? 'log' : 'text'))
  return code
}

/** Waits until what was written to a pipe has left, or its reader is gone. */
const drained = async (): Promise<void> => {
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.writableLength === 0 || stream.destroyed) {
      // A file is written at once, but that it could not be is told a turn later.
      await new Promise(setImmediate)
      continue
    }
    await new Promise<void>((done) => {
      stream.once('close', done)
      stream.write('', () => done())
    })
  }
}
