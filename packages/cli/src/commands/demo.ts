import { createHash } from 'node:crypto'
import { existsSync, mkdirSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openDatabaseReader, sqlName } from '@millrace/connectors'
import { createLogger, MillraceError } from '@millrace/sdk'
import { adHocPipeline, hasStore, openStore, type Pipeline, type RunOutcome } from '@millrace/server'
import type { CommandContext } from '../command/context.ts'
import type { CommandSource } from '../command/definition.ts'
import { isClone, typedProgram } from '../project/programs.ts'
import { booksTable } from '../project/show-run.ts'
import { tellFailure } from '../project/run-end.ts'
import { count, counted, duration, moment } from '../terminal/format.ts'
import { renderTable } from '../terminal/table.ts'
import { runHere } from './run.ts'

export const command: CommandSource = {
  doc: 'Reads the history of a git repository into a database and shows what arrived. Do it again, and only what is new is read.',
  arguments: [{ usage: '[path]', doc: 'a git repository (default: that of millrace itself, else the one here)' }],
  options: [
    { flags: '--to <persister>', doc: 'the database (default: duckdb)', choices: ['duckdb', 'sqlite'] },
    { flags: '--full-refresh', doc: 'from the beginning' },
  ],
  json: true,
  logs: true,
  examples: [
    { run: 'npm start', does: 'in a clone of millrace: its own history' },
    { run: 'millrace demo ~/src/project', does: 'that of any repository' },
  ],
  run: async ({ args, options, context: given }) => {
    const context = options.text('log-format') === undefined ? forPeople(given) : given
    const demo = planDemo(args[0], options.text('to') ?? 'duckdb', context.cwd)
    const last = lastEnd(demo.pipeline.name, context.cwd)
    context.say(`${context.wordStyle.bold(demo.repository)} → ${demo.file}\n`)
    mkdirSync(dirname(demo.file), { recursive: true })
    const outcome = await runHere(
      demo.pipeline,
      { dir: context.cwd, context },
      { fullRefresh: options.flag('full-refresh') || !existsSync(demo.file) },
    )
    if (context.json) {
      context.printJson(outcome)
      return outcome.exitCode
    }
    if (outcome.why === 'failed') {
      tellFailure(ofDemo(outcome), context)
      return outcome.exitCode
    }
    await show(outcome, demo, last, context)
    return outcome.exitCode
  },
}

/** What to do about a folder that is no repository, in the words of this command. */
const ofDemo = (outcome: RunOutcome): RunOutcome =>
  outcome.failure?.code === 'SOURCE_REFUSED'
    ? {
        ...outcome,
        failure: {
          ...outcome.failure,
          fix: `Give the path of a git repository: ${again()}${again() === 'npm start' ? ' --' : ''} /path/to/repository`,
        },
      }
    : outcome

/** How this was called, to be called again. */
const again = (cwd: string = process.cwd()): string =>
  process.env['npm_lifecycle_event'] === 'start' ? 'npm start' : `${typedProgram(cwd)} demo`

/** A demonstration is looked at by a person, also where its output goes through a pipe. */
const forPeople = (context: CommandContext): CommandContext => ({
  ...context,
  logFormat: 'text',
  // What tables were made and altered is for logs that are kept.
  logLevel: context.logLevel === 'info' ? 'warn' : context.logLevel,
  log: createLogger({
    format: 'text',
    level: context.quiet ? 'warn' : 'info',
    write: (line) => void process.stderr.write(line),
  }),
})

interface Demo {
  readonly repository: string
  readonly file: string
  readonly pipeline: Pipeline
}

const planDemo = (typed: string | undefined, to: string, cwd: string): Demo => {
  // npm runs its scripts in the root of the project; what was typed is relative to where it was typed.
  const from = process.env['npm_lifecycle_event'] === undefined ? cwd : (process.env['INIT_CWD'] ?? cwd)
  const own = ownRepository(cwd)
  const repository = typed === undefined ? own : resolve(from, typed)
  if (!existsSync(repository))
    throw new MillraceError('SOURCE_REFUSED', {
      what: repository,
      why: 'there is no such folder',
      fix: 'Give the path of a git repository.',
    })
  const isOwn = repository === own
  const slug = `${basename(repository)
    .replaceAll(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')}-${createHash('sha256').update(repository).digest('hex').slice(0, 4)}`
  const file = join(cwd, '.millrace', 'demo', `${isOwn ? 'history' : slug}.${to === 'sqlite' ? 'db' : 'duckdb'}`)
  const suffix = to === 'duckdb' ? '' : `-${to}`
  return {
    repository,
    file,
    pipeline: adHocPipeline({
      name: `${isOwn ? 'demo' : `demo-${slug}`}${suffix}`,
      cwd,
      from: { kind: 'connector', name: 'git', config: { path: repository }, env: {} },
      to: { kind: 'connector', name: to, config: { path: file }, env: {} },
    }),
  }
}

/** The clone that this program runs from, or the folder one is in where it was installed. */
const ownRepository = (cwd: string): string =>
  isClone() ? resolve(fileURLToPath(new URL('../../../../', import.meta.url))) : cwd

const lastEnd = (pipeline: string, dir: string): string | undefined => {
  if (!hasStore(dir)) return undefined
  using store = openStore(dir)
  return store.listRuns({ pipeline, limit: 20 }).find((r) => r.why === 'finished')?.endedAt
}

const show = async (
  outcome: RunOutcome,
  demo: Demo,
  last: string | undefined,
  context: CommandContext,
): Promise<void> => {
  const { style, print, say, width } = context
  await using database = await openDatabaseReader(demo.file)
  const tables = (await database.tables()).filter((t) => !t.startsWith('_millrace'))
  if (tables.includes('commits')) {
    const newest = await database.query(
      `select substr(sha, 1, 8) as sha, substr(cast(committed_at as varchar), 1, 19) as committed, author_name as author, subject, insertions as "+", deletions as "-" from commits order by committed_at desc nulls last limit 5`,
    )
    print(`\n${style.bold('The newest commits')}, as they are in the database\n`)
    print(
      renderTable({
        columns: newest.columns.map((c) =>
          c === '+' || c === '-'
            ? { title: c, align: 'right' as const }
            : c === 'sha' || c === 'committed'
              ? { title: c, min: 8 }
              : c,
        ),
        rows: newest.rows.map((r) => r.map((v) => v ?? '')),
        width: width ?? 120,
        heading: style.dim,
      }),
    )
  }
  const rows: string[][] = []
  for (const table of tables)
    rows.push([table, count(Number((await database.query(`select count(*) from ${sqlName(table)}`)).rows[0]?.[0]))])
  print(`\n${renderTable({ columns: ['table', { title: 'rows', align: 'right' }], rows, width, heading: style.dim })}`)
  print(`\n${booksTable(outcome.books, { style, width, complete: outcome.why === 'finished' })}`)
  print(`\n${style.bold(sentence(outcome, last))}\n`)
  const millrace = typedProgram(context.cwd)
  const file = quoted(relative(context.cwd, demo.file))
  const isOwn = /^demo(-sqlite)?$/.test(demo.pipeline.name)
  const to = demo.file.endsWith('.db') ? ' --to sqlite' : ''
  const path =
    isOwn && to === ''
      ? ''
      : `${again() === 'npm start' ? ' --' : ''}${isOwn ? '' : ` ${quoted(demo.repository)}`}${to}`
  say(`
It is in ${demo.file}. Now try:
  ${again(context.cwd)}${path}
  ${millrace} query ${file} "select author_name, count(*) as commits, sum(insertions) as added from commits group by 1 order by 2 desc"
  ${millrace} query ${file} "select path, count(*) as changes from files group by 1 order by 2 desc limit 10"
  ${millrace} verify last
  ${millrace} runs
  ${millrace} run --from git --from.path ${quoted(demo.repository)} --to jsonl --to.path ${quoted(relative(context.cwd, join(dirname(demo.file), 'jsonl')))}
`)
}

const sentence = (outcome: RunOutcome, last: string | undefined): string => {
  const commits = outcome.books['commits']?.stored.records ?? 0
  const took = duration(outcome.elapsedMs)
  if (outcome.why === 'stopped') return `Stopped after ${took}; the next run goes on from here.`
  if (outcome.mode === 'full')
    return `${counted(commits, 'commit')} read from the beginning in ${took}. Run it again: only what is new will be read.`
  const since = last === undefined ? 'the last run' : moment(last)
  return commits === 0
    ? `Incremental: nothing new since ${since} (${took}).`
    : `Incremental: ${counted(commits, 'new commit')} since ${since} (${took}).`
}

/** A word for a POSIX shell. */
const quoted = (word: string): string => (/^[\w./@:+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)
