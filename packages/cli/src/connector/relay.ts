import type { CommandContext } from '../command/context.ts'

/** Passes on the log of a program of somebody else as it is; with --quiet, and above, only what is a warning or worse. */
export const relayLines =
  (context: Pick<CommandContext, 'logLevel'>): ((line: string) => void) =>
  (line) => {
    const isQuiet = context.logLevel === 'warn' || context.logLevel === 'error'
    if (!isQuiet || /\b(WARN(ING)?|ERROR|CRITICAL|FATAL|[A-Z]\w*(Error|Exception))\b/.test(line.slice(0, 200)))
      process.stderr.write(`${line}\n`)
  }
