/** What is said when a run is over. */
import { describeError, type ErrorCode, errorTable, type MillraceError } from '@millrace/sdk'
import type { RunOutcome } from '@millrace/server'
import type { CommandContext } from '../command/context.ts'
import { count, counted, duration } from '../terminal/format.ts'
import { booksTable } from './show-run.ts'
import { typedProgram } from './programs.ts'

/** How many records were stored in all. */
export const storedBy = (outcome: RunOutcome): number =>
  Object.values(outcome.books).reduce((n, b) => n + b.stored.records, 0)

/** The closed books and how to see more, or the failure and its fix. In JSON the outcome as it is. */
export const tellOutcome = (outcome: RunOutcome, context: CommandContext): void => {
  if (context.json) {
    context.printJson(outcome)
    return
  }
  const { style, print, say } = context
  const { width } = context
  print(booksTable(outcome.books, { style, width, complete: outcome.why === 'finished', kept: outcome.booksKept }))
  tellFailure(outcome, context)
  const millrace = typedProgram(context.cwd)
  say(`\n${sentence(outcome)}\n`)
  say(`  ${millrace} runs show ${outcome.run}\n`)
  if (outcome.deadLetters > 0) say(`  ${millrace} dead-letters list ${outcome.pipeline}\n`)
  if (outcome.why === 'finished' && outcome.evidence.length > 0) say(`  ${millrace} verify ${outcome.run}\n`)
}

/** Why the run is red, and its fix; nothing where it is not. */
export const tellFailure = (outcome: RunOutcome, context: CommandContext): void => {
  if (outcome.failure !== undefined) process.stderr.write(failureLines(outcome.failure, context))
}

const sentence = (outcome: RunOutcome): string => {
  const took = duration(outcome.elapsedMs)
  const from =
    outcome.mode === 'full'
      ? 'from the beginning'
      : outcome.mode === 'incremental'
        ? 'from where the last run ended'
        : 'from the state given'
  switch (outcome.why) {
    case 'finished':
      return outcome.booksKept && storedBy(outcome) === 0 && outcome.mode !== 'full'
        ? `Run ${outcome.run} found nothing new (${took}).`
        : `Run ${outcome.run} finished: ${outcome.booksKept ? `${counted(storedBy(outcome), 'record')} stored` : 'a foreign persister keeps no books'}, ${from}, in ${took}.`
    case 'stopped':
      return outcome.booksKept
        ? `Run ${outcome.run} was stopped after ${took}: ${count(storedBy(outcome))} records are stored, and the next run goes on from there.`
        : `Run ${outcome.run} was stopped after ${took}. The next run goes on from the last state that the persister printed.`
    case 'failed':
      return `Run ${outcome.run} failed after ${took}. ${outcome.stateAfter === undefined ? 'No state was reached.' : 'Everything up to the last state is safe.'}`
    default:
      return outcome.why satisfies never
  }
}

const failureLines = (failure: NonNullable<RunOutcome['failure']>, context: CommandContext): string => {
  if (context.logFormat === 'json')
    return `${JSON.stringify({ time: new Date().toISOString(), level: 'error', message: failure.message, code: failure.code, fix: failure.fix })}\n`
  const retry = errorTable[failure.code as ErrorCode]?.retry ?? 'later'
  return `${describeError({ ...failure, retry } as unknown as MillraceError)}\n`
}
