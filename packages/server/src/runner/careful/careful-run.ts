/**
 * A run that goes on after its persister failed without naming a record, where bad records are to be set aside. The streamer
 * is started again from the last stored state, and what it writes goes to fresh persisters in segments, each of which is
 * settled before the next is read: as a whole where the persister takes it, else by {@link Search}.
 *
 * A segment's state, books and dead letters are kept in one transaction when all of it is settled; before that, nothing of
 * it counts. So a kill at any moment leaves a run that the next one goes on from, as with any other: what a persister had
 * made durable of an unfinished segment comes again.
 */
import { createReadStream } from 'node:fs'
import {
  addDigests,
  type Books,
  type EmittedReport,
  type Evidence,
  encodeJson,
  type FailedReport,
  Lines,
  MillraceError,
  readMessages,
} from '@millrace/sdk'
import { addBooks } from '../../domain/books.ts'
import { type Child, startChild } from '../child.ts'
import { type ExitReport, exitCodeFor } from '../exit-report.ts'
import { failureOf } from '../failure.ts'
import type { Ledger } from '../ledger.ts'
import { OrphanWatch } from '../orphan-watch.ts'
import { PrivateFolder } from '../private-folder.ts'
import { type Program, programOf, type ResolvedEnds, unselectedText } from '../program.ts'
import { maxReportBytes, parseReport } from '../reports.ts'
import type { RunOptions, Side } from '../types.ts'
import { type Delivered, deliver, type PieceInput } from './piece.ts'
import { Search } from './search.ts'
import { type Segment, SegmentReader } from './segment.ts'

/** Records of the first segment, and of the first after one that failed; each that is taken makes the next twice as large. */
const firstSegment = 1_000
const largestSegment = 100_000

export interface CarefulOptions {
  readonly run: string
  readonly options: RunOptions
  readonly ends: ResolvedEnds
  readonly ledger: Ledger
  /** The state that the run began at, where none was kept since. */
  readonly start: string | undefined
  readonly startsOver: boolean
  /** The catalog of the run, as text. */
  readonly catalog: string | undefined
  readonly persisterFlags: readonly string[]
  readonly keepsBooks: boolean
  readonly graceMs: number
  readonly settleMs: number
  readonly onLog: (side: Side, line: string) => void
  readonly onSettled: (books: Books) => void
}

/** How it ended. `failure` undefined: all of the input was settled. */
export interface CarefulEnd {
  readonly failure: MillraceError | undefined
  readonly exitCode: number | undefined
  /** What the streamer told of its output in this run, with what was settled of its first one. */
  readonly emitted: EmittedReport['substreams'] | undefined
  readonly evidence: readonly Evidence[]
  readonly streamer: ExitReport | undefined
}

export class CarefulRun {
  readonly #o: CarefulOptions
  readonly #base: Books
  #books: Books
  #streamer: Child | undefined
  #piece: Child | undefined
  #stopped = false
  #settle: NodeJS.Timeout | undefined
  #emitted: EmittedReport['substreams'] | undefined
  #failed: FailedReport | undefined
  #exitCode: number | undefined
  readonly #evidence = new Map<string, Evidence>()

  constructor(options: CarefulOptions) {
    this.#o = options
    this.#base = options.ledger.books
    this.#books = this.#base
  }

  /** The first request to stop: what is under way is finished or given up after a while; nothing new is begun. */
  stop(): void {
    this.#stopped = true
    this.#streamer?.stop()
    this.#settleSoon()
  }

  /** Only for a piece that is under way: without one nobody would clear the timer, and the process would wait for it. */
  #settleSoon(): void {
    if (this.#stopped && this.#piece !== undefined)
      this.#settle ??= setTimeout(() => this.#piece?.stop(), this.#o.settleMs)
  }

  kill(): void {
    this.#stopped = true
    this.#streamer?.kill()
    this.#piece?.kill()
  }

  async run(): Promise<CarefulEnd> {
    using folder = new PrivateFolder()
    using watch = new OrphanWatch(folder.path)
    const { streamer, persister } = this.#programs(folder)
    using pipe = await folder.pipe()
    if (this.#stopped) throw new MillraceError('INTERRUPTED', {})
    const child = this.#start(streamer, pipe.write)
    watch.add(child.pid)
    pipe.closeWrite()
    let failure: MillraceError | undefined
    try {
      const input = createReadStream('', { fd: pipe.read, autoClose: false })
      using reader = new SegmentReader(readMessages(input, { onUnreadable: 'hand-over' }), folder.path)
      await this.#settleAll(reader, { folder, watch, persister })
      const report = await child.ended
      if (this.#stopped) failure = new MillraceError('INTERRUPTED', {})
      else if (report.why !== 'finished') {
        failure = failureOf(report, streamer, this.#failed)
        this.#exitCode = exitCodeFor(report, 0) || undefined
      }
    } catch (e) {
      if (!(e instanceof MillraceError)) throw e
      failure = this.#stopped ? new MillraceError('INTERRUPTED', {}) : e
    } finally {
      clearTimeout(this.#settle)
      child.stop()
      // Nobody reads any more: a streamer that waits for room is told so.
      pipe[Symbol.dispose]()
    }
    const report = await child.ended
    watch.drop(child.pid)
    return {
      failure,
      exitCode: this.#exitCode,
      emitted: this.#emittedOfAll(),
      evidence: [...this.#evidence.values()],
      streamer: report,
    }
  }

  async #settleAll(
    reader: SegmentReader,
    at: { readonly folder: PrivateFolder; readonly watch: OrphanWatch; readonly persister: Program },
  ): Promise<void> {
    const { ledger, startsOver } = this.#o
    const search = new Search({
      reader,
      what: at.persister.what,
      startsOver: startsOver && ledger.kept === undefined,
      state: () => ledger.kept ?? this.#o.start,
      deliver: async (input, maxMs) => await this.#deliver(input, maxMs, at),
    })
    let wanted = firstSegment
    for (;;) {
      const segment = await reader.next(wanted)
      if (this.#stopped) return
      const found = search.found
      await this.#settleOne(search, segment)
      if (segment.isLast) return
      wanted = search.found > found ? firstSegment : Math.min(wanted * 2, largestSegment)
    }
  }

  async #settleOne(search: Search, segment: Segment): Promise<void> {
    const { ledger, keepsBooks, onLog, onSettled } = this.#o
    // Only a streamer that ended well wrote all there is; of one that died the last line may be half.
    const isWhole = segment.isLast && (await this.#streamer?.ended)?.why === 'finished'
    const unreadable =
      segment.isLast && !isWhole
        ? segment.unreadable.filter((m) => (m.error as { code?: string }).code !== 'MESSAGE_INCOMPLETE')
        : segment.unreadable
    const before = search.found
    const settled = await search.settle({ ...segment, unreadable }, !isWhole)
    if (this.#stopped) return
    if (keepsBooks) this.#books = addBooks(this.#books, settled.books)
    for (const e of settled.evidence) this.#evidence.set(e.substream, e)
    ledger.commit({ state: settled.state, books: keepsBooks ? this.#books : {}, deadLetters: settled.letters })
    if (search.found > before)
      onLog('persister', `WARNING records set aside that the destination refused: ${search.found - before}`)
    onSettled(this.#books)
  }

  async #deliver(
    input: PieceInput,
    maxMs: number | undefined,
    at: { readonly folder: PrivateFolder; readonly watch: OrphanWatch; readonly persister: Program },
  ): Promise<Delivered> {
    if (this.#stopped) throw new MillraceError('INTERRUPTED', {})
    let timer: NodeJS.Timeout | undefined
    try {
      const done = await deliver(
        {
          program: at.persister,
          isOurs: this.#o.keepsBooks,
          folder: at.folder,
          watch: at.watch,
          graceMs: this.#o.graceMs,
          onLog: (line) => this.#o.onLog('persister', line),
          onChild: (child) => {
            this.#piece = child
            this.#settleSoon()
            if (child !== undefined && maxMs !== undefined) timer = setTimeout(() => child.kill(), Math.max(0, maxMs))
          },
        },
        input,
      )
      this.#exitCode = done.exitCode
      return done
    } finally {
      clearTimeout(timer)
    }
  }

  #programs(folder: PrivateFolder): { readonly streamer: Program; readonly persister: Program } {
    const { options, ends, run, catalog, persisterFlags } = this.#o
    const from = this.#o.ledger.kept ?? this.#o.start
    const file = (name: string, text: string | undefined): string | undefined =>
      text === undefined ? undefined : folder.write(name, text)
    return {
      streamer: programOf(options, ends.from, folder, {
        side: 'streamer',
        command: 'sync',
        files: { state: file('state.json', from), catalog: file('catalog.json', catalog) },
        run,
      }),
      persister: programOf(options, ends.to, folder, {
        side: 'persister',
        command: 'write',
        files: {
          maps: file('maps.json', ends.maps === undefined ? undefined : encodeJson(ends.maps)),
          unselected: file('unselected.json', unselectedText(options.pipeline, catalog)),
        },
        flags: persisterFlags,
        run,
      }),
    }
  }

  #start(program: Program, stdout: number): Child {
    const reports = new Lines({ maxBytes: maxReportBytes, tooLong: 'refuse' }, (line) => {
      const report = parseReport(line)
      if (report?.kind === 'emitted') this.#emitted = report.substreams
      else if (report?.kind === 'failed') this.#failed = report
    })
    this.#streamer = startChild({
      ...program,
      stdin: 'ignore',
      stdout,
      onLog: (line) => this.#o.onLog('streamer', line),
      onReport: (chunk) => reports.push(chunk),
      graceMs: this.#o.graceMs,
    })
    return this.#streamer
  }

  /** What was settled before came out of the streamer's first run. */
  #emittedOfAll(): EmittedReport['substreams'] | undefined {
    if (this.#emitted === undefined) return undefined
    const all = new Map(Object.entries(this.#emitted))
    for (const [name, { received }] of Object.entries(this.#base)) {
      const now = all.get(name)
      all.set(name, {
        records: received.records + (now?.records ?? 0),
        digest: addDigests(received.digest, now?.digest ?? ''),
      })
    }
    return Object.fromEntries(all)
  }
}
