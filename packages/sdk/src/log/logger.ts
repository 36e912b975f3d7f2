/**
 * Logs go to stderr: stdout belongs to messages. JSON lines (schema: docs/reference/log.md), or `LEVEL message` where a
 * person or an old caller reads them. Never a record's body, never a secret.
 */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, string | number | bigint | boolean | null | undefined>>

export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** The same log with these fields on every line. */
  with(fields: LogFields): Logger
}

export interface LoggerOptions {
  /** `json`, one object a line; `text`, `INFO message key=value`, as Singer programs write. */
  readonly format: 'json' | 'text'
  readonly level: LogLevel
  readonly write: (line: string) => void
  readonly now?: () => Date
}

const order: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']
const words: Record<LogLevel, string> = { debug: 'DEBUG', info: 'INFO', warn: 'WARNING', error: 'CRITICAL' }

export const createLogger = (options: LoggerOptions, bound: LogFields = {}): Logger => {
  const at = order.indexOf(options.level)
  const now = options.now ?? (() => new Date())
  const log =
    (level: LogLevel) =>
    (message: string, fields?: LogFields): void => {
      if (order.indexOf(level) < at) return
      const all = { ...bound, ...fields }
      if (options.format === 'json') {
        options.write(
          `${JSON.stringify({ time: now().toISOString(), level, message, ...all }, (_k, v: unknown) => (typeof v === 'bigint' ? String(v) : v))}\n`,
        )
        return
      }
      const rest = Object.entries(all).filter(([, v]) => v !== undefined)
      options.write(
        `${words[level]} ${message}${rest.map(([k, v]) => ` ${k}=${typeof v === 'string' && /\s/.test(v) ? JSON.stringify(v) : v}`).join('')}\n`,
      )
    }
  return {
    debug: log('debug'),
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
    with: (fields) => createLogger(options, { ...bound, ...fields }),
  }
}

/** A log that keeps quiet; for tests and for callers that have none. */
export const silentLogger: Logger = createLogger({ format: 'text', level: 'error', write: () => {} })
