import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { createLogger, type Logger, type LogLevel, MillraceError } from '@millrace/sdk'
import { type Style, styleFor } from '../terminal/style.ts'
import type { OptionValues } from './option-values.ts'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * How a command meets the world. Results go to stdout through `print`, words for the person to stderr through `say`
 * (kept quiet by --quiet), so that every command can stand in a pipe.
 */
export interface CommandContext {
  readonly cwd: string
  /** The environment, and behind it what `.env` in the working folder gives. */
  readonly env: Environment
  readonly json: boolean
  readonly quiet: boolean
  /** How stdout is styled. */
  readonly style: Style
  /** How stderr is styled. */
  readonly wordStyle: Style
  /** Columns of the terminal that stdout is; undefined where it is none, and nothing must be cut. */
  readonly width: number | undefined
  readonly print: (text: string) => void
  readonly printJson: (value: unknown) => void
  readonly say: (text: string) => void
  readonly logFormat: 'text' | 'json'
  readonly logLevel: LogLevel
  readonly log: Logger
}

/** JSON text of anything a command answers; integers beyond a double keep their digits, as text. */
export const toJsonText = (value: unknown): string =>
  JSON.stringify(value, (_key, v: unknown) => (typeof v === 'bigint' ? String(v) : v), 2)

/** The format of the log: what --log-format says, then MILLRACE_LOG, then text on a terminal and JSON elsewhere. */
export const logFormatOf = (asked: string | undefined, env: Environment): 'text' | 'json' => {
  const word = asked ?? env['MILLRACE_LOG']
  if (word === 'json' || word === 'text') return word
  return process.stderr.isTTY === true ? 'text' : 'json'
}

const levels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']
const levelOf = (asked: string | undefined, env: Environment, quiet: boolean): LogLevel => {
  const word = asked ?? env['MILLRACE_LOG_LEVEL']
  return levels.find((l) => l === word) ?? (quiet ? 'warn' : 'info')
}

export const createContext = (options: OptionValues): CommandContext => {
  const cwd = resolve(options.text('cwd') ?? '.')
  if (options.text('cwd') !== undefined && !existsSync(cwd))
    throw new MillraceError('COMMAND_USAGE', {
      why: `--cwd ${options.text('cwd')}: there is no such folder`,
      fix: 'Make it first.',
    })
  // Settings of connectors may be relative paths, which are looked up by the system.
  if (cwd !== process.cwd()) process.chdir(cwd)
  const env = { ...readDotEnv(cwd), ...process.env }
  const json = options.flag('json')
  const quiet = options.flag('quiet')
  const logLevel = levelOf(options.text('log-level'), env, quiet)
  const logFormat = logFormatOf(options.text('log-format'), env)
  return {
    cwd,
    env,
    json,
    quiet,
    style: styleFor(process.stdout, env),
    wordStyle: styleFor(process.stderr, env),
    width: process.stdout.isTTY === true ? process.stdout.columns : undefined,
    print: (text) => void process.stdout.write(text),
    printJson: (value) => void process.stdout.write(`${toJsonText(value)}\n`),
    say: (text) => {
      if (!quiet) process.stderr.write(text)
    },
    logFormat,
    logLevel,
    log: createLogger({
      format: logFormat,
      level: logLevel,
      write: (line) => void process.stderr.write(line),
    }),
  }
}

/** `KEY=value` lines of `.env` in the working folder; nothing where there is none. */
const readDotEnv = (cwd: string): Record<string, string | undefined> => {
  let content: string
  try {
    content = readFileSync(resolve(cwd, '.env'), 'utf8')
  } catch {
    return {}
  }
  return { ...parseEnv(content) }
}
