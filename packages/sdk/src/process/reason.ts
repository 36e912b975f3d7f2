/**
 * Why a program died, out of what it wrote on stderr last. Singer programs say CRITICAL or FATAL; of a traceback the line
 * that counts is the one with the error's name and words, in Python the last, in Node the first.
 */

/** A line of a stack, of a source excerpt, or of the words around them. */
const isAround = (line: string): boolean =>
  /^\s+\S/.test(line) ||
  /^(\s*[~^]+\s*|Node\.js v\d.*|Traceback \(most recent call last\):.*|The above exception was|During handling of the above)/.test(
    line,
  ) ||
  /^[^\s:]+\.[cm]?[jt]s:\d+$/.test(line) ||
  line === '}' ||
  line.trim() === ''

/** `psycopg2.errors.NotNull: …`, `KeyError: 'id'`, `TypeError [CODE]: …` */
const namesAnError =
  /^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Warning|Exit|Interrupt|Violation|Failure)\b[^:]*:?/

/** The line that says why: the last CRITICAL or FATAL one, else the last that names an error, else the last that is not part of a stack. */
export const reasonIn = (stderrTail: string): string | undefined => {
  const lines = stderrTail.split('\n').map((l) => l.replace(/\s+$/, ''))
  const said = lines.filter((l) => !isAround(l))
  const word = said.findLast((l) => /\b(CRITICAL|FATAL)\b/.test(l))
  const trace = lines.findLastIndex((l) => l.startsWith('Traceback (most recent call last):'))
  const error = (trace < 0 ? said : lines.slice(trace).filter((l) => !isAround(l))).findLast((l) =>
    namesAnError.test(l.trim()),
  )
  // A CRITICAL line that only announces a traceback, or has it pasted behind, tells less than the error itself.
  const found = isAnnouncement(word) && error !== undefined ? error : (word ?? error ?? said.at(-1) ?? firstText(lines))
  if (found === undefined) return undefined
  const line = found.trim()
  return line.length <= maxReason ? line : `${line.slice(0, maxReason)}…`
}
const maxReason = 500

const isAnnouncement = (line: string | undefined): boolean =>
  line !== undefined && /\b(CRITICAL|FATAL)\W*(?:Traceback|Exception|Error|Uncaught)?\W*$/i.test(line)

const firstText = (lines: readonly string[]): string | undefined => lines.findLast((l) => l.trim() !== '')
