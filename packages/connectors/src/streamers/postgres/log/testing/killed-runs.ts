/**
 * Promise 1 for the log of a database: while a writer inserts, updates, deletes, moves keys and truncates, `millrace run` follows its
 * tables and is killed with SIGKILL at random points, whichever of its processes it hits. In the end source and destination are
 * equal, row for row.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { startCluster, type TestDatabase } from '../../../../testing/services/postgres.ts'

const bin = fileURLToPath(new URL('../../../../../../cli/bin/millrace.mjs', import.meta.url))
const wantedKills = 20
const startRows = 8_000
const seed = Number(process.env['MILLRACE_TEST_SEED'] ?? Math.floor(Math.random() * 1e9))

let randomState = seed
const random = (): number => {
  randomState = (randomState + 0x6d2b79f5) | 0
  let t = Math.imul(randomState ^ (randomState >>> 15), 1 | randomState)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}
const below = (n: number): number => Math.floor(random() * n)

const tables = ['orders', 'lines', 'moods'] as const
const made = `
  create table orders (id int primary key, n int not null, v text, big text);
  alter table orders alter column big set storage external;
  insert into orders select i, i, 'row ' || i, case when i % 50 = 0 then repeat(i::text, 1000) end from generate_series(1, ${startRows}) i;
  create table lines (order_id int, line int, v text, primary key (order_id, line));
  alter table lines replica identity full;
  insert into lines select i, 1, 'line ' || i from generate_series(1, ${startRows / 4}) i;
  create table moods (id int primary key, v text);
  insert into moods values (1, 'a')`

/** One transaction of a busy application. */
const transaction = (n: number): string => {
  const id = startRows + n * 40
  const some = (table: string): string => `id % 997 = ${below(997)} and id < (select max(id) from ${table})`
  const statements = [
    `insert into orders select i, 0, 'new ' || i, case when i % 10 = 0 then repeat('b', 3000) end from generate_series(${id}, ${id + 39}) i on conflict do nothing`,
    `update orders set n = n + 1 where ${some('orders')}`,
    `update orders set v = v || '!' where ${some('orders')}`,
    `delete from orders where ${some('orders')}`,
    `update orders set id = -id where ${some('orders')} and id > 0`,
    `insert into lines select ${below(startRows)}, i, 'x' from generate_series(1, 5) i on conflict (order_id, line) do update set v = lines.v || 'y'`,
    // Where it was moved before, it stays.
    `update lines l set order_id = order_id + 1000000 where order_id = ${below(startRows)} and line = 1 and not exists (select from lines o where o.order_id = l.order_id + 1000000 and o.line = 1)`,
    `delete from lines where order_id = ${below(startRows)}`,
    `insert into moods values (${below(50)}, '${n}') on conflict (id) do update set v = excluded.v`,
    ...(n % 40 === 0 ? ['truncate moods'] : []),
  ]
  const chosen = statements.filter(() => random() < 0.5)
  return `begin; ${chosen.map((s) => `${s};`).join(' ')} ${random() < 0.1 ? 'rollback' : 'commit'}`
}

/** Writes until it is told to stop. */
class Writer {
  #stopped = false
  transactions = 0
  readonly #done: Promise<void>
  constructor(url: string) {
    this.#done = this.#write(url)
  }
  async #write(url: string): Promise<void> {
    const client = new Client({ connectionString: url })
    await client.connect()
    try {
      while (!this.#stopped) {
        await client.query(transaction(this.transactions++))
        // An application that is busy, not a load test: the runs are to come after it.
        await wait(10)
      }
    } finally {
      await client.end()
    }
  }
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
  }
}

const childrenOf = (pid: number): readonly number[] => {
  try {
    const own = readdirSync(`/proc/${pid}/task`).flatMap((t) =>
      readFileSync(`/proc/${pid}/task/${t}/children`, 'utf8').split(' '),
    )
    const ids = own.filter((s) => s !== '').map(Number)
    return ids.flatMap((id) => [id, ...childrenOf(id)])
  } catch {
    return [] // it has ended
  }
}

const isAlive = (pid: number): boolean => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

const run = (
  dir: string,
): { readonly child: ChildProcess; readonly ended: Promise<number | null>; said: () => string } => {
  const child = spawn(process.execPath, [bin, 'run', 'follow'], { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (c: Buffer) => {
    said = (said + c.toString()).slice(-4000)
  })
  return { child, said: () => said, ended: new Promise((resolve) => child.on('close', (code) => resolve(code))) }
}

/** The place that the stored state says everything before it is stored; undefined before there is one. */
const storedPlace = (dir: string): string | undefined => {
  const file = join(dir, '.millrace/millrace.db')
  if (!existsSync(file)) return undefined
  const db = new DatabaseSync(file)
  try {
    if (db.prepare("select 1 from sqlite_schema where name = 'states'").get() === undefined) return undefined
    const row = db.prepare('select text from states order by rowid desc limit 1').get()
    const state = JSON.parse(String(row?.['text'] ?? '{}')) as {
      bookmarks?: { orders?: { bookmark?: { lsn?: string } } }
    }
    return state.bookmarks?.orders?.bookmark?.lsn
  } finally {
    db.close()
  }
}

const columns = { orders: 'id, n, v, big', lines: 'order_id, line, v', moods: 'id, v' }

/** The rows of a table as lines of text. */
export type Rows = readonly string[]

/** Each row as its values, all of them text. */
export const asRows = (rows: readonly Readonly<Record<string, unknown>>[]): Rows =>
  rows.map((r) => JSON.stringify(Object.values(r).map((v) => (v === null ? null : String(v))))).toSorted()

/** Where the rows go. */
export interface KilledDestination {
  readonly persister: string
  readonly config: (db: TestDatabase) => string
  /** Asks what is there. `query` selects from one table. */
  readonly rows: (dir: string, db: TestDatabase, query: string) => Promise<Rows>
}

/** Kills runs into this destination, and compares both sides in the end. */
export const killedRuns = async (destination: KilledDestination): Promise<void> => {
  const cluster = await startCluster({ settings: { wal_level: 'logical', max_wal_size: '2GB' } })
  after(() => cluster[Symbol.asyncDispose]())
  const skip = cluster.skip === false && !existsSync('/proc/self/task') ? 'needs /proc' : cluster.skip
  test(`a database that is followed into ${destination.persister}, killed ${wantedKills} times (seed ${seed})`, {
    skip,
    timeout: 170_000,
  }, async () => {
    await using source = await cluster.database()
    await using target = await cluster.database()
    await source.query(made)
    const dir = await mkdtemp(join(tmpdir(), 'millrace-followed-'))
    await writeFile(
      join(dir, 'millrace.yaml'),
      `version: 1\npipelines:\n  follow:\n    from: { streamer: postgres, config: { url: "${source.url}", replicationMethod: LOG_BASED } }\n    to: { persister: ${destination.persister}, config: ${destination.config(target)} }\n`,
    )
    const writer = new Writer(source.url)
    try {
      const places = new Set<string>()
      for (let kills = 0; kills < wantedKills || (places.size < 2 && kills < 2 * wantedKills); ) {
        if (await killed(dir)) kills++
        const place = storedPlace(dir)
        if (place !== undefined) places.add(place)
      }
      await writer.stop()
      assert.ok(writer.transactions > 50, `${writer.transactions} transactions`)
      assert.ok(places.size > 1, 'no two states were stored between kills: the test proved nothing')
      const last = run(dir)
      assert.equal(await last.ended, 0, last.said())
      for (const table of tables) {
        const query = `select ${columns[table]} from ${table}`
        const wanted = asRows(await source.query(query))
        const found = await destination.rows(dir, target, query)
        const [are, shall] = [new Set(found), new Set(wanted)]
        assert.deepEqual(
          {
            missing: wanted.filter((r) => !are.has(r)).slice(0, 3),
            wrong: found.filter((r) => !shall.has(r)).slice(0, 3),
            rows: found.length,
          },
          { missing: [], wrong: [], rows: wanted.length },
          table,
        )
      }
      // One slot, and none of those that snapshots need for a moment.
      const slots = await source.query('select temporary from pg_replication_slots where database = current_database()')
      assert.deepEqual(slots, [{ temporary: false }])
    } finally {
      await writer.stop()
      await rm(dir, { recursive: true, force: true })
      await source.query(
        'select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active and database = current_database()',
      )
    }
  })
}

/** Begins a run and kills one of its processes; answers whether that one was alive. */
const killed = async (dir: string): Promise<boolean> => {
  const { child, ended } = run(dir)
  await wait(300 + random() * 2500)
  const family = [child.pid as number, ...childrenOf(child.pid as number)]
  const victim = family[below(family.length)] as number
  const wasAlive = isAlive(victim)
  if (wasAlive) process.kill(victim, 'SIGKILL')
  await ended
  for (const end = Date.now() + 15_000; family.some(isAlive); await wait(10))
    assert.ok(Date.now() < end, 'every process of the run ended within 15 s')
  return wasAlive
}
