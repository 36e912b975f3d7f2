/**
 * One run of a pipeline. The streamer's stdout is the persister's stdin: a pipe of the kernel, whose ends are closed here
 * as soon as the children have them, so that no data passes through us, and the death of either side is seen by the other.
 *
 * A run goes through these stages, and never back:
 * - *preparing*: settings are resolved, the lock of the pipeline is taken, the files are written, the catalog is made.
 * - *running*: both children run. Each commit of the persister is kept at once.
 * - *ending early*, entered on: the first abort, a stalled run, a refused state, the death of either child. The streamer is
 *   stopped by the ladder of child.ts; the persister comes to the end of its input, settles what it read, and has
 *   `settleMs` for it. The second abort, or a store that fails, kills both at once.
 * - *going carefully*: the persister failed without naming a record, and bad ones are to be set aside. The streamer is
 *   started again from the last stored state, in careful/careful-run.ts.
 * - *ended*: both children are gone, the books are closed, the lock is freed, the files are removed.
 *
 * What made a run end early first is its failure; what follows from it (a closed pipe, half a line) is not.
 */
import {
  type Books,
  type EmittedReport,
  type Evidence,
  encodeJson,
  type FailedReport,
  isMillraceError,
  Lines,
  MillraceError,
  signalName,
  toMillraceError,
} from '@millrace/sdk'
import { totals, withEmitted } from '../domain/books.ts'
import { destinationPlace, endIdentity, type PipelineEnd } from '../domain/pipeline.ts'
import { wantedOf } from '../domain/selection.ts'
import { readStateText } from '../domain/state.ts'
import { CarefulRun } from './careful/careful-run.ts'
import { mayBePoison } from './careful/search.ts'
import { type Child, startChild } from './child.ts'
import { closeRun } from './close-run.ts'
import { diedOfClosedPipe, type ExitReport, exitCodeFor } from './exit-report.ts'
import { failureOf } from './failure.ts'
import { IdleWatch } from './idle.ts'
import { Ledger } from './ledger.ts'
import { OrphanWatch } from './orphan-watch.ts'
import { PrivateFolder } from './private-folder.ts'
import { type Program, programOf, type ResolvedEnds, resolveEnds, unselectedText } from './program.ts'
import { ProgressMeter } from './progress.ts'
import { levelOf, maxReportBytes, parseMetric, parseReport } from './reports.ts'
import type { RunEvent, RunOptions, RunOutcome, Side } from './types.ts'

const defaultGraceMs = 10_000
const defaultSettleMs = 60_000
/** A state printed by a foreign persister is refused above this. */
const maxStateBytes = 64 * 1024 * 1024

/**
 * Runs a pipeline once. Throws what is wrong before a run has begun (CONFIG_INVALID, REGISTRY_UNKNOWN, STATE_UNREADABLE,
 * STATE_OF_OTHER_DESTINATION, RUN_LOCKED, STORE_UNUSABLE); from then on everything is in the outcome, also a failure, and the run is in the store.
 */
export const runPipeline = async (options: RunOptions): Promise<RunOutcome> => {
  const { pipeline, store } = options
  const ends = resolveEnds(options)
  for (const [end, side] of [
    [pipeline.from, 'streamer'],
    [pipeline.to, 'persister'],
  ] as const)
    if (end.kind === 'connector') options.commands[side](end.name)
  const override =
    options.stateOverride === undefined
      ? undefined
      : { text: readStateText(options.stateOverride.text, options.stateOverride.source) }
  const begun = store.beginRun({
    pipeline: pipeline.name,
    destination: endIdentity(pipeline.to, pipeline.cwd),
    place: destinationPlace(pipeline),
    mode: options.fullRefresh === true ? 'full' : override === undefined ? 'incremental' : 'override',
    ...(options.redact === undefined
      ? {}
      : {
          definition: {
            cwd: pipeline.cwd,
            from: kept(pipeline.from, options.redact),
            to: kept(pipeline.to, options.redact),
          },
        }),
  })
  const start = options.fullRefresh === true ? undefined : override === undefined ? begun.state?.text : override.text
  const startsOver = start === undefined && begun.state === undefined
  return new PipelineRun(options, { run: begun.run.id, mode: begun.run.mode, start, startsOver, ends }).run()
}

const kept = (end: PipelineEnd, redact: NonNullable<RunOptions['redact']>): Record<string, never> =>
  ({ ...end, config: redact(end), env: {} }) as unknown as Record<string, never>

interface Begun {
  readonly run: string
  readonly mode: RunOutcome['mode']
  /** The state it starts from; undefined: the beginning. */
  readonly start: string | undefined
  /** No state is kept at all. A full refresh is something else: should it fail, the old state still counts. */
  readonly startsOver: boolean
  readonly ends: ResolvedEnds
}

class PipelineRun {
  readonly #options: RunOptions
  readonly #begun: Begun
  readonly #ledger: Ledger
  readonly #meter = new ProgressMeter()
  readonly #started = performance.now()
  readonly #foreignPersister: boolean
  #catalogText: string | undefined
  #careful: CarefulRun | undefined
  #streamer: Child | undefined
  #persister: Child | undefined
  readonly #ended: { streamer?: ExitReport; persister?: ExitReport } = {}
  readonly #failed: { streamer?: FailedReport; persister?: FailedReport } = {}
  #idle: IdleWatch | undefined
  #settle: NodeJS.Timeout | undefined
  #emitted: EmittedReport['substreams'] | undefined
  #evidence: readonly Evidence[] = []
  #closed = false
  #reports = false
  /** What ended the run early, first cause only. */
  #cause: MillraceError | undefined
  /** The streamer's failure, where it is perhaps only what followed from the persister's. */
  #closedPipe: MillraceError | undefined
  #persisterFailure: MillraceError | undefined
  #endingEarly = false
  #exitCode: number | undefined

  constructor(options: RunOptions, begun: Begun) {
    this.#options = options
    this.#begun = begun
    this.#foreignPersister = options.pipeline.to.kind === 'exec'
    const { select } = options.pipeline
    this.#ledger = new Ledger({
      store: options.store,
      run: begun.run,
      pipeline: options.pipeline.name,
      baseline: begun.start,
      allowEmptier: options.allowEmptierState === true,
      isLeftOut: (substream) => select !== undefined && wantedOf(select, substream) === false,
      onEvent: (event) => this.#tell(event),
    })
  }

  async run(): Promise<RunOutcome> {
    const { signal, kill } = this.#options
    const stop = (): void => {
      this.#endEarly(new MillraceError('INTERRUPTED', { signal: signalName(signal) }))
      this.#careful?.stop()
    }
    const killAll = (): void => {
      this.#endEarly(new MillraceError('INTERRUPTED', { signal: signalName(kill) }))
      this.#killBoth()
      this.#careful?.kill()
    }
    signal?.addEventListener('abort', stop)
    kill?.addEventListener('abort', killAll)
    try {
      {
        using folder = new PrivateFolder()
        await this.#runChildren(folder)
      }
      if (this.#mayBePoisoned()) await this.#goCarefully()
    } catch (e) {
      this.#cause ??= toMillraceError(e)
    } finally {
      signal?.removeEventListener('abort', stop)
      kill?.removeEventListener('abort', killAll)
      clearTimeout(this.#settle)
      this.#idle?.[Symbol.dispose]()
    }
    return this.#end()
  }

  async #runChildren(folder: PrivateFolder): Promise<void> {
    const { pipeline, store, signal, kill } = this.#options
    const { run, mode, start } = this.#begun
    if (signal?.aborted === true || kill?.aborted === true)
      throw new MillraceError('INTERRUPTED', { signal: signalName(signal) })
    if (start !== undefined) readStateText(start, `of ${pipeline.name} in the store`)
    this.#tell({ kind: 'started', run, mode, state: start })
    const { from } = pipeline
    if (
      start !== undefined &&
      from.kind === 'exec' &&
      typeof from.exec === 'string' &&
      !from.exec.includes('MILLRACE_STATE')
    )
      this.#log(
        'streamer',
        'WARNING the command does not use $MILLRACE_STATE, the file of its state: it may read everything again',
      )
    const catalog = pipeline.select === undefined ? undefined : await this.#catalog(folder)
    if (this.#endingEarly) return
    const making = folder.pipe()
    const { streamer, persister } = this.#programs(folder, catalog)
    using pipe = await making
    if (this.#endingEarly) return
    using watch = new OrphanWatch(folder.path)
    const graceMs = this.#options.graceMs ?? defaultGraceMs
    const reports = (side: Side): ((chunk: Buffer) => void) => this.#reportLines(side)
    const states = this.#stateLines()
    this.#persister = startChild({
      ...persister,
      stdin: pipe.read,
      stdout: (chunk) => states.push(chunk),
      onLog: (line) => this.#log('persister', line),
      onReport: reports('persister'),
      graceMs,
    })
    watch.add(this.#persister.pid)
    const writing = this.#persister.ended.then((report) => this.#onPersisterEnd(report, persister, states))
    if (this.#persister.pid !== undefined) {
      this.#streamer = startChild({
        ...streamer,
        stdin: 'ignore',
        stdout: pipe.write,
        onLog: (line) => this.#log('streamer', line),
        onReport: reports('streamer'),
        graceMs,
      })
      watch.add(this.#streamer.pid)
    }
    // From here the pipe is the children's alone.
    pipe[Symbol.dispose]()
    const reading = this.#streamer?.ended.then((report) => this.#onStreamerEnd(report, streamer))
    try {
      const pids = [this.#streamer?.pid, this.#persister.pid].filter((pid) => pid !== undefined)
      store.noteProcesses(run, pids)
      this.#tell({ kind: 'running', streamer: this.#streamer?.pid, persister: this.#persister.pid })
      this.#watchIdle()
    } catch (e) {
      // The children must not be left: this goes on to wait for their end.
      this.#fatal(toMillraceError(e))
    }
    await Promise.all([writing, reading])
    watch.drop(this.#streamer?.pid)
    watch.drop(this.#persister.pid)
  }

  async #catalog(folder: PrivateFolder): Promise<string> {
    const { catalogText, discoverCatalog } = await import('./discover.ts')
    const catalog = await discoverCatalog({ ...this.#options, onLog: (line) => this.#log('streamer', line) })
    this.#catalogText = catalogText(catalog)
    return folder.write('catalog.json', this.#catalogText)
  }

  #programs(
    folder: PrivateFolder,
    catalog: string | undefined,
  ): { readonly streamer: Program; readonly persister: Program } {
    const { run, start, ends } = this.#begun
    const state = start === undefined ? undefined : folder.write('state.json', start)
    const streamer = programOf(this.#options, ends.from, folder, {
      side: 'streamer',
      command: 'sync',
      files: { state, catalog },
      run,
    })
    if (this.#foreignPersister)
      return {
        streamer,
        persister: programOf(this.#options, ends.to, folder, { side: 'persister', command: 'write', files: {}, run }),
      }
    const unselected = unselectedText(this.#options.pipeline, this.#catalogText)
    const maps = ends.maps === undefined ? undefined : folder.write('maps.json', encodeJson(ends.maps))
    return {
      streamer,
      persister: programOf(this.#options, ends.to, folder, {
        side: 'persister',
        command: 'write',
        files: { maps, unselected: unselected === undefined ? undefined : folder.write('unselected.json', unselected) },
        flags: this.#persisterFlags,
        run,
        startsOver: this.#begun.startsOver,
      }),
    }
  }

  get #persisterFlags(): readonly string[] {
    const { onInvalid, validate, flushRecords, flushSeconds } = this.#options.pipeline
    if (this.#foreignPersister) return []
    return [
      ...['--on-invalid', onInvalid],
      ...(validate ? [] : ['--no-validate']),
      ...(flushRecords === undefined ? [] : ['--flush-records', String(flushRecords)]),
      ...(flushSeconds === undefined ? [] : ['--flush-ms', String(Math.ceil(flushSeconds * 1000))]),
    ]
  }

  // — a persister that fails without naming a record —

  /** Whether what the persister died of may be a record that it did not name, and such records are to be set aside. */
  #mayBePoisoned(): boolean {
    const { pipeline, signal } = this.#options
    const why = this.#ended.persister?.why
    return (
      pipeline.onInvalid === 'dead-letter' &&
      (why === 'failed' || why === 'signalled') &&
      this.#persisterFailure !== undefined &&
      this.#cause === this.#persisterFailure &&
      mayBePoison(this.#persisterFailure) &&
      signal?.aborted !== true
    )
  }

  /** Goes on from the last stored state, with what the persister refuses looked for and set aside. */
  async #goCarefully(): Promise<void> {
    const { run, ends, start, startsOver } = this.#begun
    const cause = this.#cause
    this.#careful = new CarefulRun({
      run,
      ends,
      start,
      startsOver,
      options: this.#options,
      ledger: this.#ledger,
      catalog: this.#catalogText,
      persisterFlags: this.#persisterFlags,
      keepsBooks: !this.#foreignPersister,
      graceMs: this.#options.graceMs ?? defaultGraceMs,
      settleMs: this.#options.settleMs ?? defaultSettleMs,
      onLog: (side, line) => this.#log(side, line),
      onSettled: (books) => this.#tellSettled(books),
    })
    this.#endingEarly = false
    this.#cause = undefined
    this.#log('persister', `WARNING ${cause?.message ?? ''}`)
    this.#log(
      'persister',
      'WARNING it named no record: the run goes on from the last state, in parts, to find what it refuses',
    )
    const end = await this.#careful.run()
    this.#cause ??= end.failure
    this.#exitCode = this.#cause === undefined ? undefined : end.exitCode
    this.#emitted = end.emitted
    this.#evidence = end.evidence
    this.#closed = end.failure === undefined
    if (end.streamer !== undefined) this.#ended.streamer = end.streamer
    if (this.#closed) this.#ended.persister = { why: 'finished' }
  }

  #tellSettled(books: Books): void {
    const { received, bytes } = totals(books)
    if (received === 0) return
    const substreams = Object.fromEntries(
      Object.entries(books).map(([name, b]) => [name, { received: b.received.records, stored: b.stored.records }]),
    )
    this.#tell(this.#meter.fromReport({ kind: 'progress', substreams, bytes, waitingMs: 0, writingMs: 0 }))
  }

  // — what the children say —

  #log(side: Side, line: string): void {
    this.#idle?.touch()
    const metric = parseMetric(line)
    if (metric !== undefined) {
      this.#tell({ kind: 'metric', side, ...metric })
      const progress = side === 'streamer' && !this.#reports ? this.#meter.fromMetric(metric) : undefined
      if (progress !== undefined) this.#tell(progress)
      return
    }
    this.#tell({ kind: 'log', side, line, level: levelOf(line) })
  }

  #reportLines(side: Side): (chunk: Buffer) => void {
    const tooLong = (): void =>
      this.#fatal(
        new MillraceError('INTERNAL', { why: `a report of the ${side} is longer than ${maxReportBytes} bytes` }),
      )
    const lines = new Lines({ maxBytes: maxReportBytes, tooLong: 'refuse', onTooLong: tooLong }, (line) =>
      this.#onReport(side, line),
    )
    return (chunk) => lines.push(chunk)
  }

  #onReport(side: Side, line: string): void {
    const report = parseReport(line)
    if (report === undefined) return
    if (report.kind === 'failed') {
      this.#failed[side] = report
      return
    }
    if (report.kind === 'emitted') {
      if (side === 'streamer') this.#emitted = report.substreams
      return
    }
    if (side !== 'persister') return
    this.#reports = true
    if (report.kind === 'progress') {
      this.#idle?.progress(report)
      this.#tell(this.#meter.fromReport(report))
      return
    }
    this.#idle?.touch()
    if (report.kind === 'commit') this.#commit(report)
    else {
      this.#closed = true
      this.#evidence = report.evidence
      this.#ledger.books = report.books
    }
  }

  /** A foreign persister says with each line that everything before that state is durable. */
  #stateLines(): Lines {
    const tooLong = (): void =>
      this.#endEarly(
        new MillraceError('STATE_TOO_LARGE', {
          source: 'the persister:',
          bytes: maxStateBytes,
          maxBytes: maxStateBytes,
        }),
      )
    return new Lines({ maxBytes: maxStateBytes, tooLong: 'refuse', onTooLong: tooLong }, (line) =>
      this.#onStateLine(line),
    )
  }

  #onStateLine(line: string): void {
    this.#idle?.touch()
    if (!this.#foreignPersister || this.#reports || line.trim() === '') return
    this.#commit({ state: line.trim(), books: {}, deadLetters: [] })
  }

  #commit(report: Parameters<Ledger['commit']>[0]): void {
    try {
      this.#ledger.commit(report)
    } catch (e) {
      if (isMillraceError(e) && (e.code === 'STATE_EMPTIER' || e.code === 'STATE_UNREADABLE')) this.#endEarly(e)
      else this.#fatal(toMillraceError(e))
    }
  }

  // — endings —

  #onStreamerEnd(report: ExitReport, program: Program): void {
    this.#ended.streamer = report
    if (report.why === 'finished') return
    const failed = this.#failed.streamer
    // It may have died because its reader did: then the persister's end, which is on its way, is the cause.
    if (failed?.code === 'PIPE_CLOSED' || diedOfClosedPipe(report)) {
      this.#closedPipe = failureOf(report, program, failed)
      if (this.#ended.persister === undefined) this.#endEarly(undefined)
      return
    }
    if (report.why !== 'stopped')
      this.#exitCode ??= this.#cause === undefined ? exitCodeFor(report, 0) || undefined : undefined
    this.#endEarly(failureOf(report, program, failed))
  }

  #onPersisterEnd(report: ExitReport, program: Program, states: Lines): void {
    this.#ended.persister = report
    clearTimeout(this.#settle)
    const rest = states.rest()
    // A last line without its newline is whole only where its writer was.
    if (rest !== undefined && report.why === 'finished') this.#onStateLine(rest)
    if (report.why !== 'finished') {
      if (report.why !== 'stopped')
        this.#exitCode ??= this.#cause === undefined ? exitCodeFor(report, 0) || undefined : undefined
      this.#persisterFailure = failureOf(report, program, this.#failed.persister)
      this.#endEarly(this.#persisterFailure)
    } else if (!this.#foreignPersister && !this.#closed) {
      this.#endEarly(
        new MillraceError('PROCESS_FAILED', { what: program.what, why: 'exit code 0, but without closing its books' }),
      )
    } else if (this.#ended.streamer === undefined) this.#afterPersister(program)
    else if (this.#closedPipe !== undefined) this.#endEarly(this.#closedPipe)
  }

  /** The persister ended well while the streamer runs: right at the end that is only the order of events. */
  #afterPersister(program: Program): void {
    const early = setTimeout(() => {
      this.#endEarly(
        new MillraceError('PROCESS_FAILED', { what: program.what, why: 'exit code 0 before the streamer was done' }),
      )
    }, this.#options.graceMs ?? defaultGraceMs)
    void this.#streamer?.ended.then((report) => {
      clearTimeout(early)
      if (report.why !== 'finished')
        this.#endEarly(
          new MillraceError('PROCESS_FAILED', { what: program.what, why: 'exit code 0 before the streamer was done' }),
        )
    })
  }

  /** Ends the run early: the streamer is stopped, the persister settles what it read. The first cause stays. */
  #endEarly(cause: MillraceError | undefined): void {
    this.#cause ??= cause
    if (this.#endingEarly) return
    this.#endingEarly = true
    this.#idle?.[Symbol.dispose]()
    this.#tell({ kind: 'stopping', why: this.#cause?.message ?? 'the pipe between the programs was closed' })
    this.#streamer?.stop()
    const settleMs = this.#options.settleMs ?? defaultSettleMs
    const limit = (): void => {
      if (this.#ended.persister === undefined) this.#settle = setTimeout(() => this.#persister?.stop(), settleMs)
    }
    if (this.#streamer === undefined) limit()
    else void this.#streamer.ended.then(limit)
  }

  /** Nothing more can be kept: both are killed at once. */
  #fatal(cause: MillraceError): void {
    this.#endEarly(cause)
    this.#killBoth()
  }

  #killBoth(): void {
    this.#streamer?.kill()
    this.#persister?.kill()
  }

  #watchIdle(): void {
    const { idleTimeoutMs } = this.#options
    if (idleTimeoutMs === undefined || this.#endingEarly) return
    this.#idle = new IdleWatch({
      timeoutMs: idleTimeoutMs,
      // Ours says by its reports what it does; and those reports are writing too.
      pids: () => [this.#streamer?.pid, this.#foreignPersister ? this.#persister?.pid : undefined],
      onIdle: () => {
        const what = this.#ended.streamer === undefined ? 'the streamer' : 'the persister'
        this.#endEarly(new MillraceError('PROCESS_STALLED', { what, seconds: Math.round(idleTimeoutMs / 100) / 10 }))
        if (this.#ended.streamer !== undefined) this.#persister?.stop()
      },
    })
  }

  #end(): RunOutcome {
    const { store, pipeline } = this.#options
    return closeRun(store, {
      ...this.#begun,
      pipeline: pipeline.name,
      cause: this.#cause,
      exitCode: this.#exitCode,
      books: withEmitted(this.#ledger.books, this.#emitted),
      emitted: this.#emitted !== undefined,
      booksKept: this.#reports || !this.#foreignPersister,
      // Its books are those of all that it read only where it came to its own end.
      settled: this.#closed && this.#ended.persister?.why === 'finished',
      evidence: this.#evidence,
      stateAfter: this.#ledger.kept ?? this.#begun.start,
      deadLetters: this.#ledger.deadLetters,
      elapsedMs: performance.now() - this.#started,
      ...this.#ended,
    })
  }

  #tell(event: RunEvent): void {
    this.#options.onEvent?.(event)
  }
}
