/** One part of the input into a persister of its own: started, fed, ended, and asked what became of it. */
import {
  type Books,
  type DeadLetter,
  descriptorWriter,
  type Evidence,
  type FailedReport,
  isMillraceError,
  Lines,
  MillraceError,
  moreComesVariable,
  startsOverVariable,
} from '@millrace/sdk'
import { addBooks } from '../../domain/books.ts'
import { type Child, startChild } from '../child.ts'
import { exitCodeFor } from '../exit-report.ts'
import { failureOf } from '../failure.ts'
import type { OrphanWatch } from '../orphan-watch.ts'
import type { PrivateFolder } from '../private-folder.ts'
import type { Program } from '../program.ts'
import { maxReportBytes, parseReport } from '../reports.ts'

const maxStateBytes = 64 * 1024 * 1024

export interface PieceOptions {
  readonly program: Program
  /** Of ours: it keeps books and says that it closed them. */
  readonly isOurs: boolean
  readonly folder: PrivateFolder
  readonly watch: OrphanWatch
  readonly graceMs: number
  readonly onLog: (line: string) => void
  /** Called with the child while it runs, and with nothing afterwards. */
  readonly onChild: (child: Child | undefined) => void
}

export interface PieceInput {
  readonly lines: Iterable<Uint8Array>
  /** It is not the end of the run's input. */
  readonly moreComes: boolean
  readonly startsOver: boolean
}

/** What became of a part. */
export interface Delivered {
  /** Undefined where all of it was taken. */
  readonly failure: MillraceError | undefined
  readonly exitCode: number | undefined
  readonly books: Books
  readonly letters: readonly DeadLetter[]
  /** The last state that was answered. */
  readonly state: string | undefined
  readonly evidence: readonly Evidence[]
}

export const deliver = async (options: PieceOptions, input: PieceInput): Promise<Delivered> => {
  const { program, isOurs, folder, watch } = options
  const letters: DeadLetter[] = []
  let books: Books = {}
  let state: string | undefined
  let evidence: readonly Evidence[] = []
  let failed: FailedReport | undefined
  let isClosed = false
  const reports = new Lines({ maxBytes: maxReportBytes, tooLong: 'refuse' }, (line) => {
    const report = parseReport(line)
    if (report?.kind === 'commit') {
      letters.push(...report.deadLetters)
      state = report.state ?? state
    } else if (report?.kind === 'closed') {
      isClosed = true
      books = addBooks(report.books)
      evidence = report.evidence
    } else if (report?.kind === 'failed') failed = report
  })
  const onState = (line: string): void => {
    if (!isOurs && line.trim() !== '') state = line.trim()
  }
  const states = new Lines({ maxBytes: maxStateBytes, tooLong: 'refuse' }, onState)
  const pipe = await folder.pipe()
  const child = startChild({
    ...program,
    env: {
      ...program.env,
      ...(input.moreComes ? { [moreComesVariable]: '1' } : {}),
      ...(input.startsOver ? { [startsOverVariable]: '1' } : {}),
    },
    stdin: pipe.read,
    stdout: (chunk) => states.push(chunk),
    onLog: options.onLog,
    onReport: (chunk) => reports.push(chunk),
    graceMs: options.graceMs,
  })
  watch.add(child.pid)
  options.onChild(child)
  // The reading end is the child's alone, so that its death is seen by the writer.
  pipe.closeRead()
  try {
    if (child.pid !== undefined) await feed(pipe.write, input.lines)
  } finally {
    pipe[Symbol.dispose]()
  }
  const report = await child.ended
  watch.drop(child.pid)
  options.onChild(undefined)
  const rest = states.rest()
  if (rest !== undefined && report.why === 'finished') onState(rest)
  const isTaken = report.why === 'finished' && (isClosed || !isOurs)
  const failure = isTaken
    ? undefined
    : report.why === 'finished'
      ? new MillraceError('PROCESS_FAILED', { what: program.what, why: 'exit code 0, but without closing its books' })
      : failureOf(report, program, failed)
  return { failure, exitCode: exitCodeFor(report, 0) || undefined, books, letters, state, evidence }
}

/** Writes until the reader is gone; how it went is told by the reader's end. */
const feed = async (fd: number, lines: Iterable<Uint8Array>): Promise<void> => {
  const write = descriptorWriter(fd)
  try {
    for (const piece of lines) await write(piece)
  } catch (e) {
    if (!isMillraceError(e) || e.code !== 'PIPE_CLOSED') throw e
  }
}
