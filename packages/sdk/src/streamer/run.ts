/**
 * Runs a streamer: discovery, check, or a sync from a state to the end.
 *
 * What it promises about a sync: the SCHEMA of a substream comes before its records; a STATE comes only behind every
 * record it covers; output is handed over in batches and each is waited for, so a slow reader holds the source back and
 * memory stays bounded; asked to stop, it ends at a place that the next run can go on from, and says that place last.
 */
import { isMillraceError, MillraceError } from '../errors/error.ts'
import type { Logger } from '../log/logger.ts'
import { encodeJson, type Json, type JsonObject } from '../message/json.ts'
import type { Report } from '../report/types.ts'
import { discoverCatalog, type Selected, selectionOf } from './catalog.ts'
import { type Desk, openDesk, schemaLine, versionLine } from './desk.ts'
import type { Emitted } from './encode.ts'
import { readGroup } from './group.ts'
import { PieceOutput } from './piece-output.ts'
import { StateKeeper } from './state.ts'
import {
  Bookmark,
  EncodedRecords,
  RecordsOf,
  SchemaChange,
  type Streamer,
  type StreamerContext,
  type Substream,
  type SubstreamContext,
  type SubstreamInfo,
  Unchanged,
  type Yielded,
} from './types.ts'

/** How a streamer is run. */
export interface StreamerRunOptions {
  readonly command: 'sync' | 'check' | 'discover'
  /** Its settings, resolved: resolveConfig. */
  readonly config: Readonly<Record<string, unknown>>
  /** The catalog (or STRUCTURE) that chooses substreams and fields, parsed. Left out: what is selected by default. */
  readonly catalog?: JsonObject | undefined
  /** The state to go on from: parseStateFile. Left out: from the beginning. */
  readonly state?: Json | undefined
  /** Takes output; resolves when it is on its way. Called once a batch and never before the last call resolved. */
  readonly write: (chunk: Uint8Array) => void | Promise<void>
  readonly log: Logger
  /** Asks the run to end early: what is begun is finished, its state written. */
  readonly signal: AbortSignal
  /** A descriptor that a streamer which is another program may write to by itself, in place of `write`. */
  readonly direct?: number | undefined
  /** {@link StreamerContext.relay} */
  readonly relay?: ((line: string) => void) | undefined
  /** Tells the runner what was written; makes digests. */
  readonly report?: ((report: Report) => void | Promise<void>) | undefined
  /** A STATE comes at least after so many records, or so many milliseconds, where the substream allows it. */
  readonly stateRecords?: number
  readonly stateMs?: number
  /** After the stop was asked for, how long the source may take to come to a bookmark. Default 3,000. */
  readonly graceMs?: number
}

/** Records yielded one by one are gathered up to this number. */
const gatherRecords = 1000
/** Gathered output older than this is handed over, in milliseconds, so that a slow source is seen at once. */
const lingerMs = 500
/**
 * Runs a streamer. Resolves when all is written, also after a stop. Throws what the streamer throws, CATALOG_INVALID,
 * STATE_UNREADABLE, MESSAGE_WRITE_NOT_FINITE, PIPE_CLOSED; what was read before is written, with its state.
 */
export const runStreamer = async (streamer: Streamer, options: StreamerRunOptions): Promise<void> => {
  const ctx: StreamerContext = {
    config: options.config as StreamerContext['config'],
    log: options.log,
    signal: options.signal,
    relay: options.relay,
  }
  const { program } = streamer
  switch (options.command) {
    case 'check':
      if (streamer.check === undefined) await streamer.substreams(ctx)
      else await streamer.check(ctx)
      return
    case 'discover':
      await options.write(Buffer.from(await catalogText(streamer, ctx)))
      return
    case 'sync':
      if (program === undefined) await new Sync(streamer, ctx, options).run()
      else {
        const { catalog, state, direct, write } = options
        await program.sync({ ...ctx, catalog, state, direct, write })
      }
      return
    default:
      options.command satisfies never
  }
}

/** The substreams with the schemas that have to be asked for. */
const discovered = async (streamer: Streamer, ctx: StreamerContext): Promise<readonly SubstreamInfo[]> => {
  const found: SubstreamInfo[] = []
  for (const s of await streamer.substreams(ctx))
    found.push(s.findSchema === undefined ? s : { ...s, schema: await s.findSchema() })
  return found
}

/** The catalog for whoever reads it. A program's own keeps its numbers digit for digit, and stands on one line. */
const catalogText = async (streamer: Streamer, ctx: StreamerContext): Promise<string> =>
  streamer.program === undefined
    ? `${JSON.stringify(discoverCatalog(await discovered(streamer, ctx)), null, 2)}\n`
    : `${encodeJson(await streamer.program.discover(ctx))}\n`

class Sync {
  readonly #streamer: Streamer
  readonly #ctx: StreamerContext
  readonly #options: StreamerRunOptions
  readonly #state: StateKeeper
  readonly #emitted = new Map<string, Emitted>()
  readonly #output: PieceOutput
  #gathered: JsonObject[] = []
  #gatheredFor: Desk | undefined
  #sinceState = 0
  #stateAt = performance.now()
  #lastState = ''
  #addedAtState = 0
  #abandoned = false

  constructor(streamer: Streamer, ctx: StreamerContext, options: StreamerRunOptions) {
    this.#streamer = streamer
    this.#ctx = ctx
    this.#options = options
    const { state } = options
    this.#state = new StateKeeper(state == null ? state : (streamer.olderState?.(state) ?? state))
    this.#output = new PieceOutput(options.write)
  }

  async run(): Promise<void> {
    const substreams = await this.#streamer.substreams(this.#ctx)
    const { selected, unknown } = selectionOf(this.#options.catalog, substreams)
    for (const name of unknown)
      this.#options.log.warn('the catalog names a substream that is not there', { substream: name })
    if (selected.length === 0) this.#options.log.warn('no substream is selected')
    const timer = setInterval(() => this.#linger(), lingerMs)
    try {
      await this.#all(rotate(selected, this.#state.current))
    } finally {
      clearInterval(timer)
      await this.#report()
    }
  }

  async #all(selected: readonly Selected<Substream>[]): Promise<void> {
    const byName = new Map(selected.map((s) => [s.name, s]))
    const done = new Set<string>()
    for (const choice of selected) {
      if (this.#options.signal.aborted || done.has(choice.name)) continue
      const { readWith, group } = choice.substream
      if (group !== undefined) {
        const members = selected.filter((s) => s.substream.group === group)
        for (const s of members) done.add(s.name)
        await this.#group(members.map((s) => this.#open(s)))
        continue
      }
      const leader = readWith === undefined ? undefined : byName.get(readWith)
      // It comes with another one, whose turn is later or was before.
      if (leader !== undefined && this.#goesWith(choice.substream, leader.substream)) {
        if (done.has(leader.name)) continue
        await this.#together(leader, selected, done)
        continue
      }
      await this.#together(choice, selected, done)
    }
    this.#state.end()
    if (!this.#options.signal.aborted) await this.#writeState()
    await this.#output.flush()
  }

  async #together(
    choice: Selected<Substream>,
    selected: readonly Selected<Substream>[],
    done: Set<string>,
  ): Promise<void> {
    const others = selected.filter(
      (s) =>
        s !== choice &&
        !done.has(s.name) &&
        s.substream.readWith === choice.name &&
        this.#goesWith(s.substream, choice.substream),
    )
    const desks = [choice, ...others].map((s) => this.#open(s))
    for (const s of [choice, ...others]) done.add(s.name)
    await this.#one(desks[0] as Desk, new Map(desks.map((d) => [d.substream.name, d])))
  }

  #goesWith(substream: Substream, leader: Substream): boolean {
    return encodeJson(this.#state.bookmarkOf(substream) ?? null) === encodeJson(this.#state.bookmarkOf(leader) ?? null)
  }

  #open(selected: Selected<Substream>): Desk {
    const desk = openDesk(selected, {
      bookmark: this.#state.bookmarkOf(selected.substream),
      digests: this.#options.report !== undefined,
    })
    this.#emitted.set(selected.name, desk.emitted)
    return desk
  }

  /** Reads the substreams of a group in one. Its state is told also where it fails. */
  async #group(desks: readonly Desk[]): Promise<void> {
    this.#state.begin((desks[0] as Desk).selected.name)
    const reading = readGroup(desks, {
      context: this.#ctx,
      bookmarkOf: (desk) => (desk.selected.fullTable ? undefined : this.#state.bookmarkOf(desk.substream)),
      setBookmark: (name, value) => this.#state.setBookmark(name, value),
      add: (part) => this.#output.add(part),
      wait: () => this.#output.wait(),
      writeState: () => this.#writeState(),
      isAbandoned: () => this.#abandoned,
    })
    try {
      await this.#untilStopped(reading)
    } catch (e) {
      await this.#tell().catch(refuseClosedPipe)
      throw e
    }
    await this.#tell()
  }

  async #tell(): Promise<void> {
    await this.#writeState()
    await this.#output.flush()
  }

  /** Reads one substream, with those that come out of the same reading. */
  async #one(desk: Desk, desks: ReadonlyMap<string, Desk>): Promise<void> {
    const { substream, selected } = desk
    this.#state.begin(substream.name)
    for (const d of desks.values())
      if (d.substream.findSchema === undefined) this.#output.add(schemaLine(d, new SchemaChange(d.substream.schema)))
    const ctx: SubstreamContext = {
      ...this.#ctx,
      bookmark: selected.fullTable ? undefined : this.#state.bookmarkOf(substream),
      fields: selected.fields,
      together: new Set([...desks.keys()].filter((n) => n !== substream.name)),
      version: desk.version,
    }
    const reading = new Reading()
    try {
      await this.#untilStopped(this.#read(substream.records(ctx), desk, desks, reading))
    } catch (e) {
      await this.#settle(desk, desks, reading, false).catch(refuseClosedPipe)
      throw e
    }
    await this.#settle(desk, desks, reading, reading.ended && !this.#options.signal.aborted)
  }

  /** The end of a substream: its version and its state. `complete` where the source came to its end by itself. */
  async #settle(desk: Desk, desks: ReadonlyMap<string, Desk>, reading: Reading, complete: boolean): Promise<void> {
    this.#encodeGathered()
    if (complete && !reading.unchanged) {
      for (const d of desks.values()) if (d.version !== undefined) this.#output.add(versionLine(d, d.version))
    }
    if (desk.version === undefined || complete) {
      if (reading.held !== undefined) this.#setBookmark(desks, reading.held)
    }
    if (desk.greatest !== undefined && (complete || desk.substream.ordered === true)) this.#takeGreatest(desk)
    await this.#tell()
  }

  async #read(
    source: AsyncIterable<Yielded> | Iterable<Yielded>,
    desk: Desk,
    desks: ReadonlyMap<string, Desk>,
    reading: Reading,
  ): Promise<void> {
    const signal = this.#options.signal
    // What has a bookmark of its own is read on to the next one, so that nothing comes twice.
    const waitsForBookmark = desk.substream.replicationKey === undefined && desk.version === undefined
    const take = (y: Yielded): void | Promise<void> => this.#take(y, desk, desks, reading)
    const isOver = (y: Yielded): boolean =>
      this.#abandoned || (signal.aborted && (!waitsForBookmark || y instanceof Bookmark))
    if (Symbol.asyncIterator in source) {
      for await (const y of source) {
        if (this.#abandoned) return
        const wait = take(y)
        if (wait !== undefined) await wait
        if (isOver(y)) return
      }
    } else {
      for (const y of source) {
        const wait = take(y)
        if (wait !== undefined) await wait
        if (isOver(y)) return
      }
    }
    reading.ended = true
  }

  /** Waits for a reading; after a stop was asked for, only for the grace. */
  async #untilStopped(reading: Promise<void>): Promise<void> {
    const { signal } = this.#options
    let timer: NodeJS.Timeout | undefined
    const over = Promise.withResolvers<void>()
    const onAbort = (): void => {
      timer = setTimeout(() => {
        this.#abandoned = true
        over.resolve()
      }, this.#options.graceMs ?? 3000)
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    // A reading that was given up may still fail; nobody waits for it then.
    reading.catch(() => {})
    try {
      await Promise.race([reading, over.promise])
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Takes what the author yielded. Answers a promise only where there is something to wait for. */
  #take(y: Yielded, desk: Desk, desks: ReadonlyMap<string, Desk>, reading: Reading): void | Promise<void> {
    if (y instanceof EncodedRecords) {
      this.#encodeGathered()
      if (desk.greatest !== undefined)
        throw ofAuthor(desk, 'yields encoded records and has a replication key, which is then not seen; use bookmark()')
      this.#output.add(desk.encoder.pass(y, new Date().toISOString()))
      this.#sinceState += y.count
    } else if (y instanceof Bookmark) {
      this.#encodeGathered()
      if (desk.version !== undefined) {
        reading.held = y.value
        return
      }
      this.#setBookmark(desks, y.value)
      return this.#writeState()
    } else if (y instanceof RecordsOf) {
      const other = desks.get(y.substream)
      if (other === undefined) throw ofAuthor(desk, `yields records of ${y.substream}, which was not asked for`)
      this.#encodeGathered()
      this.#takeRecords(other, y.records)
    } else if (y instanceof SchemaChange) {
      this.#encodeGathered()
      this.#output.add(schemaLine(desk, y))
    } else if (y instanceof Unchanged) {
      reading.unchanged = true
    } else if (Array.isArray(y)) {
      this.#encodeGathered()
      this.#takeRecords(desk, y as readonly JsonObject[])
    } else {
      this.#gatheredFor = desk
      this.#gathered.push(y as JsonObject)
      desk.greatest?.see(y as JsonObject)
      this.#sinceState++
      if (this.#gathered.length < gatherRecords) return this.#output.wait()
      this.#encodeGathered()
    }
    return this.#checkpoint(desk)
  }

  #takeRecords(desk: Desk, records: readonly JsonObject[]): void {
    if (records.length === 0) return
    const { greatest } = desk
    if (greatest !== undefined) for (const record of records) greatest.see(record)
    this.#output.add(desk.encoder.encode(records, new Date().toISOString()))
    this.#sinceState += records.length
  }

  /** A STATE inside a substream, where its order allows one and enough has come since the last. */
  #checkpoint(desk: Desk): void | Promise<void> {
    const { ordered } = desk.substream
    const due =
      this.#sinceState >= (this.#options.stateRecords ?? 10_000) ||
      performance.now() - this.#stateAt >= (this.#options.stateMs ?? 10_000)
    if (ordered === true && desk.greatest !== undefined && desk.version === undefined && due) {
      this.#encodeGathered()
      this.#takeGreatest(desk)
      return this.#writeState()
    }
    return this.#output.wait()
  }

  #takeGreatest(desk: Desk): void {
    const value = desk.greatest?.value
    if (value !== undefined)
      this.#state.setReplicationValue(desk.substream.name, desk.substream.replicationKey as string, value)
  }

  #setBookmark(desks: ReadonlyMap<string, Desk>, value: Json): void {
    for (const name of desks.keys()) this.#state.setBookmark(name, value)
  }

  #writeState(): void | Promise<void> {
    this.#sinceState = 0
    this.#stateAt = performance.now()
    const text = encodeJson(this.#state.value())
    // The same state again says something only where there are records between.
    if (text !== this.#lastState || this.#output.added !== this.#addedAtState)
      this.#output.add(Buffer.from(`{"type":"STATE","value":${text}}\n`))
    this.#lastState = text
    this.#addedAtState = this.#output.added
    return this.#output.wait()
  }

  #encodeGathered(): void {
    const desk = this.#gatheredFor
    if (desk === undefined || this.#gathered.length === 0) return
    const records = this.#gathered
    this.#gathered = []
    this.#output.add(desk.encoder.encode(records, new Date().toISOString()))
  }

  /** Hands over what a slow source has given so far. */
  #linger(): void {
    try {
      this.#encodeGathered()
      this.#output.lingering()
    } catch (e) {
      this.#output.fail(e)
    }
  }

  async #report(): Promise<void> {
    await this.#options.report?.({
      kind: 'emitted',
      substreams: Object.fromEntries(
        [...this.#emitted].map(([name, e]) => [name, { records: e.records, digest: e.digest.toString() }]),
      ),
    })
  }
}

/** What happened while a substream was read. */
class Reading {
  ended = false
  unchanged = false
  /** The bookmark of a versioned substream, kept back until its version counts. */
  held: Json | undefined
}

const ofAuthor = (desk: Desk, why: string): MillraceError =>
  new MillraceError('INTERNAL', { why: `substream ${desk.substream.name} ${why}` })

/** What the author threw tells more than what came after it, unless the output itself is gone. */
const refuseClosedPipe = (second: unknown): void => {
  if (isMillraceError(second) && second.code === 'PIPE_CLOSED') throw second
}

/** The substream that was begun comes first, those before it last. */
const rotate = (
  selected: readonly Selected<Substream>[],
  current: string | undefined,
): readonly Selected<Substream>[] => {
  const at = selected.findIndex((s) => s.name === current)
  return at <= 0 ? selected : [...selected.slice(at), ...selected.slice(0, at)]
}
