import { type ErrorDetails, type Retry, errorCodes, errorTable, exitCodes } from '@millrace/sdk'
import { generatedNote, table } from './parts/markdown.ts'

/** Details that answer every name with itself in brackets, so that a row's sentence shows where its facts go. */
const placeholders = new Proxy({} as ErrorDetails, {
  get: (_, name) => (name === 'fix' || typeof name !== 'string' ? undefined : `‹${name}›`),
})

const retryWords: Readonly<Record<Retry, string>> = {
  never: 'no',
  later: 'yes, later',
  'after-fix': 'after the fix',
}

const exitWords: Readonly<Record<keyof typeof exitCodes, string>> = {
  done: 'Done.',
  usage: 'The command line is wrong.',
  badData: 'The input is wrong; the same input fails again.',
  unavailable: 'A source or destination cannot be reached; try again later.',
  ourBug: 'A mistake of ours.',
  later: 'Something stood in the way; try again later.',
  settings: 'The settings are wrong; mend them, then try again.',
  interrupted: 'Stopped by a signal.',
}

/** The reference page of the errors: every code with what it says, what to do, and what a program may do about it. */
export const errorsPage = (): string => {
  const rows = errorCodes.map((code) => {
    const { say, fix, retry, exit, http } = errorTable[code]
    return [`\`${code}\``, say(placeholders), fix(placeholders), retryWords[retry], String(exit), String(http)]
  })
  const exits = (Object.keys(exitCodes) as (keyof typeof exitCodes)[]).map((name) => [
    String(exitCodes[name]),
    exitWords[name],
  ])
  return `${[
    '# Errors',
    'Every error says what happened and where, then its code, and on the next line what to do. Recognise an error by its code: codes stay, sentences may change. Where `‹…›` stands, the error names the fact.',
    generatedNote('packages/sdk/src/errors/table.ts'),
    '## Codes',
    table(['code', 'what it says', 'what to do', 'does trying again help?', 'exit code', 'HTTP'], rows),
    '## Exit codes',
    'A program that runs `millrace` can tell by the exit code alone whether to try again.',
    table(['exit code', 'meaning'], exits),
  ].join('\n\n')}\n`
}

export const files = async (): Promise<Readonly<Record<string, string>>> => ({
  'docs/reference/errors.md': errorsPage(),
})
