/**
 * Promise 1, end to end: `millrace run` killed with SIGKILL at random points, whichever of its three processes it hits,
 * and run again. The state in the store is never ahead of the destination, and in the end every record is there;
 * exactly once where the destination upserts.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, it } from 'node:test'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'

const bin = fileURLToPath(new URL('../../packages/cli/bin/millrace.mjs', import.meta.url))
const records = 150_000
const wantedKills = 20
const seed = Number(process.env['MILLRACE_TEST_SEED'] ?? Math.floor(Math.random() * 1e9))

let randomState = seed
const random = (): number => {
  randomState = (randomState + 0x6d2b79f5) | 0
  let t = Math.imul(randomState ^ (randomState >>> 15), 1 | randomState)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

/** What a destination holds: how many rows, how many different ids, how many different ids up to a bound. */
interface Held {
  readonly rows: number
  readonly ids: number
  readonly upTo: (bound: number) => number
}

const ofIds = (ids: Iterable<number>): Held => {
  let rows = 0
  const seen = new Set<number>()
  for (const id of ids) {
    rows++
    seen.add(id)
  }
  return { rows, ids: seen.size, upTo: (bound) => [...seen].filter((id) => id <= bound).length }
}

/** A kill may come in the middle of a write: what stands behind the last newline is not there yet, and the next run cuts it off. */
const linesOf = async (file: string, idOf: (line: string) => number): Promise<Held> => {
  if (!existsSync(file)) return ofIds([])
  const whole = (await readFile(file, 'utf8')).split('\n').slice(0, -1)
  return ofIds(whole.map(idOf).filter((id) => !Number.isNaN(id)))
}

/** Opens the file once the last process of a killed run has let go of it: one may have been started after we looked. */
const openDuckDb = async (file: string): Promise<DuckDBInstance> => {
  const deadline = Date.now() + 15_000
  for (;;) {
    try {
      return await DuckDBInstance.create(file)
    } catch (e) {
      if (!/lock/.test((e as Error).message) || Date.now() > deadline) throw e
      await after(20)
    }
  }
}

const destinations: readonly {
  readonly name: string
  readonly path: string
  readonly once: boolean
  readonly read: (dir: string) => Promise<Held>
}[] = [
  {
    name: 'jsonl',
    path: 'out',
    once: false,
    read: (dir) => linesOf(join(dir, 'out/orders.jsonl'), (l) => (JSON.parse(l) as { id: number }).id),
  },
  {
    name: 'csv',
    path: 'out',
    once: false,
    read: (dir) => linesOf(join(dir, 'out/orders.csv'), (l) => Number(l.split(',')[0])),
  },
  {
    name: 'sqlite',
    path: 'out.sqlite',
    once: true,
    read: async (dir) => {
      if (!existsSync(join(dir, 'out.sqlite'))) return ofIds([])
      const db = new DatabaseSync(join(dir, 'out.sqlite'))
      try {
        const exists = db.prepare("select 1 from sqlite_master where name = 'orders'").get() !== undefined
        return ofIds(
          exists
            ? db
                .prepare('select id from orders')
                .all()
                .map((r) => Number(r['id']))
            : [],
        )
      } finally {
        db.close()
      }
    },
  },
  {
    name: 'duckdb',
    path: 'out.duckdb',
    once: true,
    read: async (dir) => {
      if (!existsSync(join(dir, 'out.duckdb'))) return ofIds([])
      const instance = await openDuckDb(join(dir, 'out.duckdb'))
      const connection = await instance.connect()
      try {
        const exists = await connection.runAndReadAll("select 1 from duckdb_tables() where table_name = 'orders'")
        if (exists.getRows().length === 0) return ofIds([])
        return ofIds((await connection.runAndReadAll('select id from orders')).getColumns()[0]?.map(Number) ?? [])
      } finally {
        connection.closeSync()
        instance.closeSync()
      }
    },
  },
]

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

const until = async (what: string, is: () => boolean): Promise<void> => {
  const deadline = Date.now() + 30_000
  while (!is()) {
    assert.ok(Date.now() < deadline, `${what} within 30 s`)
    await after(10)
  }
}

const run = (
  dir: string,
): { readonly child: ChildProcess; readonly ended: Promise<number | null>; readonly said: () => string } => {
  const child = spawn(process.execPath, [bin, 'run', 'load'], { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (c: Buffer) => {
    said = (said + c.toString()).slice(-4000)
  })
  return { child, said: () => said, ended: new Promise((resolve) => child.on('close', (code) => resolve(code))) }
}

/** The id that the stored state says everything up to is stored. */
const storedPosition = (dir: string): number => {
  const file = join(dir, '.millrace/millrace.db')
  if (!existsSync(file)) return 0
  const db = new DatabaseSync(file, { timeout: 10_000 })
  try {
    // Killed before its tables were made: nothing is stored.
    if (db.prepare("select 1 from sqlite_schema where name = 'states'").get() === undefined) return 0
    const row = db.prepare('select text from states order by rowid desc limit 1').get()
    if (row === undefined) return 0
    const state = JSON.parse(String(row['text'])) as { bookmarks?: { orders?: { bookmark?: number } } }
    return state.bookmarks?.orders?.bookmark ?? 0
  } finally {
    db.close()
  }
}

describe(`millrace run, killed ${wantedKills} times (seed ${seed})`, {
  skip: existsSync('/proc/self/task') ? false : 'needs /proc',
}, () => {
  for (const destination of destinations) {
    it(`${destination.name}: nothing lost${destination.once ? ', nothing twice' : ''}`, {
      timeout: 240_000,
    }, async () => {
      const dir = await mkdtemp(join(tmpdir(), 'millrace-killed-'))
      try {
        await writeFile(
          join(dir, 'millrace.yaml'),
          `version: 1\npipelines:\n  load:\n    from: { streamer: hello, config: { shape: wide, count: ${records}, stateEvery: 500 } }\n    to: { persister: ${destination.name}, config: { path: ${destination.path} } }\n    flush-records: 8000\n`,
        )
        let kills = 0
        let positions = 0
        while (kills < wantedKills) {
          const before = storedPosition(dir)
          const { child, ended } = run(dir)
          // Of four kills three are by the clock, one after a state has been stored: on a busy machine the clock alone would
          // kill every run before it had done anything.
          if (kills % 4 !== 3) await after(random() * 750)
          else {
            await until(
              'a state is stored, or the run ends',
              () => child.exitCode !== null || storedPosition(dir) > before,
            )
            await after(random() * 200)
          }
          const family = [child.pid as number, ...childrenOf(child.pid as number)]
          const victim = family[Math.floor(random() * family.length)] as number
          if (isAlive(victim)) process.kill(victim, 'SIGKILL')
          await ended
          await until('every process of the run has ended', () => !family.some(isAlive))
          const position = storedPosition(dir)
          const held = await destination.read(dir)
          assert.equal(
            held.upTo(position),
            position,
            `kill ${kills}: the state says ${position}, the destination has less`,
          )
          if (destination.once) assert.equal(held.rows, held.ids, `kill ${kills}: rows twice`)
          if (position < records) kills++
          if (position > 0) positions++
          // It came to its end: once more from nothing.
          if (position === records)
            for (const old of readdirSync(dir).filter((f) => f !== 'millrace.yaml'))
              await rm(join(dir, old), { recursive: true, force: true })
        }
        const last = run(dir)
        assert.equal(await last.ended, 0, last.said())
        const held = await destination.read(dir)
        assert.equal(held.ids, records)
        if (destination.once) assert.equal(held.rows, records)
        assert.equal(storedPosition(dir), records)
        assert.ok(positions > 0, 'no kill came after a state: the test proved nothing')
      } finally {
        await rm(dir, { recursive: true, force: true })
      }
    })
  }
})
