import { randomInt } from 'node:crypto'
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { type Books, type Evidence, encodeJson, MillraceError, type SubstreamBooks } from '@millrace/sdk'
import { totals } from '../domain/books.ts'
import { countDeadLetters, findDeadLetter, insertDeadLetters, listDeadLetters, markReplayed } from './dead-letters.ts'
import { guarded } from './guard.ts'
import { isAlive, markOf, type ProcessMark } from './liveness.ts'
import { evidenceOf, type Row, runOf, stateOf } from './rows.ts'
import type {
  BeginRun,
  Commit,
  DeadLetterQuery,
  EndRun,
  RunRecord,
  StandingEvidence,
  StateEntry,
  StateOrigin,
  Store,
  StoredDeadLetter,
} from './types.ts'

/** States kept of a pipeline; the oldest go first. */
const maxStates = 10_000

/** Runs that stores of this process have begun and not ended. A lock of ours that is not among them was left over. */
const active = new Set<string>()

/** {@link Store} on node:sqlite. Made by `openStore`. */
export class SqliteStore implements Store {
  readonly file: string
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  readonly #begun = new Set<string>()

  constructor(db: DatabaseSync, file: string) {
    this.#db = db
    this.file = file
  }

  #prepare(sql: string): StatementSync {
    const found = this.#statements.get(sql)
    if (found !== undefined) return found
    const made = this.#db.prepare(sql)
    this.#statements.set(sql, made)
    return made
  }
  #run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).lastInsertRowid)
  }
  #get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values) as Row | undefined
  }
  #all(sql: string, ...values: SQLInputValue[]): readonly Row[] {
    return this.#prepare(sql).all(...values) as Row[]
  }

  #read<T>(run: () => T): T {
    return guarded(this.file, run)
  }

  /** One transaction that may write; its lock is taken at once, so that what it reads stays true. */
  #write<T>(run: () => T): T {
    return guarded(this.file, () => {
      this.#db.exec('begin immediate')
      try {
        const result = run()
        this.#db.exec('commit')
        return result
      } catch (e) {
        if (this.#db.isTransaction) this.#db.exec('rollback')
        throw e
      }
    })
  }

  beginRun(begin: BeginRun): { readonly run: RunRecord; readonly state: StateEntry | undefined } {
    const begun = this.#write(() => {
      this.#takeLockOf(begin.pipeline)
      const state = this.#stateOf(begin.pipeline)
      const made = this.#placeOf(state)
      if (begin.mode === 'incremental' && begin.place !== undefined && made !== undefined && made !== begin.place)
        throw new MillraceError('STATE_OF_OTHER_DESTINATION', { pipeline: begin.pipeline, made, now: begin.place })
      const now = new Date()
      const id = this.#newRunId(now)
      const mode = begin.mode === 'incremental' && state === undefined ? 'full' : begin.mode
      this.#run(
        'insert into runs (id, pipeline, mode, started_at, destination, place, definition) values (?, ?, ?, ?, ?, ?, ?)',
        id,
        begin.pipeline,
        mode,
        now.toISOString(),
        begin.destination,
        begin.place ?? null,
        begin.definition === undefined ? null : encodeJson(begin.definition),
      )
      const mark = markOf(process.pid)
      this.#run(
        'insert into locks (pipeline, run, pid, started, groups) values (?, ?, ?, ?, ?)',
        begin.pipeline,
        id,
        mark.pid,
        mark.started,
        '[]',
      )
      return { run: this.#findRun(id) as RunRecord, state }
    })
    this.#begun.add(begun.run.id)
    active.add(begun.run.id)
    return begun
  }

  /** Ids sort by time; a clock that was set back does not break that within a store. */
  #newRunId(now: Date): string {
    const stamp = (t: Date): string => t.toISOString().replace(/[-:.]/g, '').replace('T', '-').slice(0, 18)
    const last = this.#get('select max(id) as id from runs')?.['id']
    let at = now
    if (typeof last === 'string' && last.slice(0, 18) >= stamp(now)) {
      const m = /^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)(\d\d\d)/.exec(last) ?? []
      at = new Date(Date.parse(`${m[1]}-${m[2]}-${m[3]}T${m[4]}:${m[5]}:${m[6]}.${m[7]}Z`) + 1)
    }
    return `${stamp(at)}-${randomInt(36 ** 4)
      .toString(36)
      .padStart(4, '0')}`
  }

  /** Throws RUN_LOCKED where a living run holds the pipeline; ends a run whose process is gone. */
  #takeLockOf(pipeline: string): void {
    const lock = this.#get('select * from locks where pipeline = ?', pipeline)
    if (lock === undefined) return
    const holder: ProcessMark = { pid: Number(lock['pid']), started: String(lock['started']) }
    const leftOver = holder.pid === process.pid && !active.has(String(lock['run']))
    if (!leftOver && isAlive(holder))
      throw new MillraceError('RUN_LOCKED', { pipeline, run: String(lock['run']), pid: holder.pid })
    for (const group of JSON.parse(String(lock['groups'])) as ProcessMark[]) {
      // Their runner is dead: whatever they still write, the next run writes again from the last state.
      if (!isAlive(group)) continue
      try {
        process.kill(-group.pid, 'SIGKILL')
      } catch {
        // It ended in this moment.
      }
    }
    this.#run('delete from locks where pipeline = ?', pipeline)
    this.#run(
      "update runs set ended_at = ?, why = 'crashed' where id = ? and ended_at is null",
      new Date().toISOString(),
      String(lock['run']),
    )
  }

  #requireUnlocked(pipeline: string): void {
    const lock = this.#get('select * from locks where pipeline = ?', pipeline)
    if (lock !== undefined) this.#takeLockOf(pipeline)
  }

  #requireLockOf(run: string): string {
    const lock = this.#get('select pipeline from locks where run = ?', run)
    if (lock !== undefined) return String(lock['pipeline'])
    const record = this.#findRun(run)
    if (record === undefined) throw new MillraceError('RUN_UNKNOWN', { run })
    const other = this.#get('select run, pid from locks where pipeline = ?', record.pipeline)
    throw new MillraceError('RUN_LOCKED', {
      pipeline: record.pipeline,
      run: String(other?.['run'] ?? '(ended)'),
      pid: Number(other?.['pid'] ?? 0),
    })
  }

  noteProcesses(run: string, pids: readonly number[]): void {
    this.#write(() => {
      this.#requireLockOf(run)
      this.#run('update locks set groups = ? where run = ?', JSON.stringify(pids.map(markOf)), run)
    })
  }

  commit(commit: Commit): void {
    this.#write(() => {
      const pipeline = this.#requireLockOf(commit.run)
      this.#keepBooks(commit.run, commit.books)
      const at = new Date().toISOString()
      insertDeadLetters(this.#db, { run: commit.run, pipeline, at }, commit.deadLetters)
      if (commit.state === undefined) return
      const before = this.#stateOf(pipeline)
      if (commit.state !== before?.text || this.#placeOf(before) !== this.#findRun(commit.run)?.place)
        this.#insertState({
          pipeline,
          run: commit.run,
          origin: 'run',
          text: commit.state,
          records: totals(commit.books).stored,
        })
    })
  }

  #keepBooks(run: string, books: Books): void {
    for (const [substream, body] of Object.entries(books))
      this.#run(
        'insert or replace into books (run, substream, body) values (?, ?, ?)',
        run,
        substream,
        JSON.stringify(body),
      )
    const { received, stored, filtered, deadLettered, bytes } = totals(books)
    this.#run(
      'update runs set received = ?, stored = ?, filtered = ?, dead_lettered = ?, bytes = ? where id = ?',
      received,
      stored,
      filtered,
      deadLettered,
      bytes,
      run,
    )
  }

  endRun(end: EndRun): void {
    // Also where the store fails: the run is over, and its lock must not outlive it in a process that goes on.
    this.#begun.delete(end.run)
    active.delete(end.run)
    this.#write(() => {
      const pipeline = this.#requireLockOf(end.run)
      this.#keepBooks(end.run, end.books)
      const destination = String(this.#get('select destination from runs where id = ?', end.run)?.['destination'])
      for (const e of end.evidence)
        this.#run(
          'insert or replace into evidence (run, substream, destination, row_count, marks) values (?, ?, ?, ?, ?)',
          end.run,
          e.substream,
          destination,
          e.rows,
          encodeJson(e.marks),
        )
      this.#run(
        'update runs set ended_at = ?, why = ?, exit_code = ?, error_code = ?, error_message = ? where id = ?',
        new Date().toISOString(),
        end.why,
        end.exitCode,
        end.error?.code ?? null,
        end.error?.message ?? null,
        end.run,
      )
      this.#run('delete from locks where run = ?', end.run)
      this.#run(
        'delete from states where pipeline = ? and id <= (select id from states where pipeline = ? order by id desc limit 1 offset ?)',
        pipeline,
        pipeline,
        maxStates,
      )
    })
  }

  listRuns(query: { readonly pipeline?: string; readonly limit?: number } = {}): readonly RunRecord[] {
    return this.#read(() =>
      this.#all(
        'select * from runs where ?1 is null or pipeline = ?1 order by id desc limit ?2',
        query.pipeline ?? null,
        query.limit ?? 100,
      ).map((row) => this.#told(runOf(row))),
    )
  }

  /** A run without an end whose process is gone crashed; the next run of its pipeline will write that down. */
  #told(run: RunRecord): RunRecord {
    if (run.why !== undefined) return run
    const lock = this.#get('select pid, started from locks where run = ?', run.id)
    const isRunning = lock !== undefined && isAlive({ pid: Number(lock['pid']), started: String(lock['started']) })
    return isRunning ? run : { ...run, why: 'crashed' }
  }

  #findRun(id: string): RunRecord | undefined {
    const row = this.#get('select * from runs where id = ?', id)
    return row === undefined ? undefined : runOf(row)
  }

  getRun(id: string): RunRecord {
    return this.#read(() => {
      const exact = id === 'latest' ? this.listRuns({ limit: 1 })[0] : this.#findRun(id)
      if (exact !== undefined) return this.#told(exact)
      const near =
        id === 'latest' || id === ''
          ? []
          : this.#all(
              'select * from runs where substr(id, 1, length(?1)) = ?1 or substr(id, -length(?1)) = ?1 order by id desc limit 2',
              id,
            )
      if (near.length === 1) return this.#told(runOf(near[0] as Row))
      throw new MillraceError('RUN_UNKNOWN', { run: near.length > 1 ? `${id} (several fit)` : id })
    })
  }

  books(run: string): Books {
    return this.#read(() =>
      Object.fromEntries(
        this.#all('select substream, body from books where run = ? order by substream', run).map((r) => [
          String(r['substream']),
          JSON.parse(String(r['body'])) as SubstreamBooks,
        ]),
      ),
    )
  }

  evidence(run: string): readonly Evidence[] {
    return this.#read(() => this.#all('select * from evidence where run = ? order by substream', run).map(evidenceOf))
  }

  standingEvidence(destination: string): readonly StandingEvidence[] {
    return this.#read(() =>
      this.#all(
        `select * from evidence e where destination = ?1
         and run = (select max(run) from evidence where destination = ?1 and substream = e.substream) order by substream`,
        destination,
      ).map((r) => ({ ...evidenceOf(r), run: String(r['run']) })),
    )
  }

  /** The place that a state was made for; undefined where nobody knows, as of one that was set by hand. */
  #placeOf(state: StateEntry | undefined): string | undefined {
    return state?.run === undefined ? undefined : this.#findRun(state.run)?.place
  }

  #stateOf(pipeline: string): StateEntry | undefined {
    const row = this.#get('select * from states where pipeline = ? order by id desc limit 1', pipeline)
    return row === undefined || row['text'] === null ? undefined : stateOf(row)
  }

  stateOf(pipeline: string): StateEntry | undefined {
    return this.#read(() => this.#stateOf(pipeline))
  }

  stateLog(pipeline: string, limit = 1_000): readonly StateEntry[] {
    return this.#read(() =>
      this.#all('select * from states where pipeline = ? order by id desc limit ?', pipeline, limit).map(stateOf),
    )
  }

  #insertState(s: {
    readonly pipeline: string
    readonly run: string | undefined
    readonly origin: StateOrigin
    readonly text: string | undefined
    readonly records: number
  }): StateEntry {
    if (s.text !== undefined) requireJson(s.text, s.pipeline)
    const id = this.#run(
      'insert into states (pipeline, run, at, origin, text, records) values (?, ?, ?, ?, ?, ?)',
      s.pipeline,
      s.run ?? null,
      new Date().toISOString(),
      s.origin,
      s.text ?? null,
      s.records,
    )
    return stateOf(this.#get('select * from states where id = ?', id) as Row)
  }

  setState(pipeline: string, text: string | undefined): StateEntry {
    return this.#write(() => {
      this.#requireUnlocked(pipeline)
      return this.#insertState({ pipeline, run: undefined, origin: 'set', text, records: 0 })
    })
  }

  revertState(pipeline: string, id?: number): StateEntry {
    return this.#write(() => {
      this.#requireUnlocked(pipeline)
      const found =
        id === undefined
          ? this.#beforeLastRun(pipeline)
          : this.#get('select * from states where pipeline = ? and id = ?', pipeline, id)
      if (found === undefined && id !== undefined)
        throw new MillraceError('STATE_UNREADABLE', {
          source: `${id} of ${pipeline}`,
          why: 'there is no such entry in its log',
        })
      const entry = found === undefined ? undefined : stateOf(found)
      return this.#insertState({
        pipeline,
        run: entry?.run,
        origin: 'revert',
        text: entry?.text,
        records: entry?.records ?? 0,
      })
    })
  }

  /** The entry before the first one of the last run that made any; none where that run began at the beginning. */
  #beforeLastRun(pipeline: string): Row | undefined {
    const last = this.#get(
      "select run from states where pipeline = ? and origin = 'run' order by id desc limit 1",
      pipeline,
    )
    if (last === undefined)
      throw new MillraceError('STATE_UNREADABLE', { source: `of ${pipeline}`, why: 'no run has made a state yet' })
    return this.#get(
      `select * from states where pipeline = ?1
       and id < (select min(id) from states where pipeline = ?1 and run = ?2 and origin = 'run') order by id desc limit 1`,
      pipeline,
      String(last['run']),
    )
  }

  pipelines(): readonly string[] {
    return this.#read(() =>
      this.#all('select pipeline from runs union select pipeline from states order by pipeline').map((r) =>
        String(r['pipeline']),
      ),
    )
  }

  deadLetters(query: DeadLetterQuery = {}): readonly StoredDeadLetter[] {
    return this.#read(() => listDeadLetters(this.#db, query))
  }
  countDeadLetters(query: DeadLetterQuery = {}): number {
    return this.#read(() => countDeadLetters(this.#db, query))
  }
  findDeadLetter(id: number): StoredDeadLetter | undefined {
    return this.#read(() => findDeadLetter(this.#db, id))
  }
  markReplayed(ids: readonly number[]): void {
    this.#write(() => markReplayed(this.#db, ids))
  }

  [Symbol.dispose](): void {
    for (const run of this.#begun) active.delete(run)
    if (this.#db.isOpen) this.#db.close()
  }
}

const requireJson = (text: string, pipeline: string): void => {
  try {
    JSON.parse(text)
  } catch (e) {
    throw new MillraceError('STATE_UNREADABLE', { source: `of ${pipeline}`, why: 'it is not JSON' }, { cause: e })
  }
}
