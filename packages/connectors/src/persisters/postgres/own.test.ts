/** What is PostgreSQL's own: values and names that it does not take, and several runs at once. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, describe, test } from 'node:test'
import { isMillraceError, type JsonObject, type PersisterSession, RejectedRecords } from '@millrace/sdk'
import { type Destination, Place, recordsOf, schemaOf } from '../../sql/testing/destination.ts'
import { rowsPerFlush } from '../../sql/testing/flusher.ts'
import { findPostgres } from '../../testing/services/postgres.ts'
import { postgres } from './index.ts'

const server = await findPostgres()
const db = server.skip === false ? await server.database() : undefined

const int = { type: 'integer' }
const str = { type: 'string' }

const destination: Destination = {
  name: 'postgres',
  module: '',
  persister: postgres,
  types: {} as Destination['types'],
  read: async () => undefined,
  execute: async () => {},
  tables: async () => [],
}

describe('postgres: its own', { skip: server.skip }, () => {
  if (db === undefined) return
  after(async () => {
    await db[Symbol.asyncDispose]()
  })

  let next = 0
  const freshSchema = (): string => `own_${process.pid}_${next++}`
  const open = async (schema: string, settings: JsonObject = {}): Promise<PersisterSession> => {
    await using place = await Place.make(destination)
    return await place.open({ url: db.url, schema, ...settings })
  }
  const rejectedOf = async (work: Promise<unknown>): Promise<readonly string[]> => {
    try {
      await work
      return []
    } catch (e) {
      assert.ok(e instanceof RejectedRecords, String(e))
      return e.rejected.map(({ record, error }) => {
        assert.ok(isMillraceError(error) && error.code === 'VALUE_NOT_STORABLE', String(error))
        return `${record.line}: ${error.message}`
      })
    }
  }

  test('what PostgreSQL cannot hold is rejected by record, by bytes and by value', async () => {
    const lines = [
      '{"id":1,"t":"fine \\\\u0000"}',
      '{"id":2,"t":"nul \\u0000"}',
      '{"id":3,"j":{"a":["\\u0000"]}}',
      '{"id":4,"j":{"\\u0000":1}}',
      '{"id":5,"j":{"a":"\\\\u0000","n":1.50}}',
      '{"id":6,"j":[1e200000]}',
      `{"id":7,"d":"1${'0'.repeat(131_072)}"}`,
      `{"id":8,"d":"0.${'1'.repeat(16_384)}"}`,
      `{"id":9,"j":[0.${'1'.repeat(16_384)}]}`,
      `{"id":10,"d":"${'9'.repeat(131_072)}.${'1'.repeat(16_383)}"}`,
      '{"id":11,"d":1e-20000}',
    ]
    const properties = { id: int, t: str, j: { type: 'object' }, d: { type: 'string', format: 'singer.decimal' } }
    for (const records of [lines, lines.map((l) => JSON.stringify(JSON.parse(l)))]) {
      const exact = records === lines
      const schema = freshSchema()
      await using s = await open(schema)
      await s.declare(schemaOf('v', properties))
      const batch = recordsOf('v', records)
      const rejected = await rejectedOf(s.write('v', batch))
      assert.deepEqual(
        rejected.map((r) => /(\d+): line \d+: stream v, field (\w+): (.*)/.exec(r)?.slice(2, 3).join()),
        exact ? ['t', 'j', 'j', 'j', 'd', 'd', 'j', 'd'] : ['t', 'j', 'j', 'd', 'd'],
      )
      const bad = new Set(rejected.map((r) => Number.parseInt(r, 10)))
      await s.write(
        'v',
        batch.filter((r) => !bad.has(r.line)),
      )
      await s.flush()
      const rows = await db.query(`SELECT id::int, t, j::text, length(d::text) AS d FROM ${schema}.v ORDER BY id`)
      assert.deepEqual(rows.slice(0, 2), [
        { id: 1, t: 'fine \\u0000', j: null, d: null },
        { id: 5, t: null, j: exact ? '{"a": "\\\\u0000", "n": 1.50}' : '{"a": "\\\\u0000", "n": 1.5}', d: null },
      ])
      assert.deepEqual(rows.find((r) => r['id'] === 10)?.['d'], 131_072 + 16_384)
    }
  })

  test('text comes back as it was, whatever COPY would make of it', async () => {
    const texts = [
      '',
      '\\N',
      '\\.',
      '\\',
      '\\\\t',
      '\t',
      '\n',
      '\r\n',
      '\v\f\b',
      '\u007f',
      'NULL',
      '"',
      '/',
      'a\\',
      '\u2028',
    ]
    const schema = freshSchema()
    await using s = await open(schema)
    await s.declare(schemaOf('t', { id: int, t: str, j: { type: 'array' } }))
    const lines = texts.map((t, id) => JSON.stringify({ id, t, j: [t] }))
    await s.write('t', recordsOf('t', lines))
    await s.write(
      't',
      recordsOf(
        't',
        lines.map((l, i) => ({ ...(JSON.parse(l) as object), id: i + texts.length })),
      ),
    )
    await s.write(
      't',
      recordsOf('t', [
        '{"id":100,"t":"\\u0009\\u000a\\u000D\\u005c\\u0041\\u00e9\\u6771\\/\\"", "j":\t["\\u0009\\n\\\\"\t,  1 ] }',
      ]),
    )
    await s.flush()
    const rows = await db.query(`SELECT t, j FROM ${schema}.t ORDER BY id`)
    assert.deepEqual(
      rows.map((r) => [r['t'], r['j']]),
      [...texts, ...texts].map((t) => [t, [t]]).concat([['\t\n\r\\Aé東/"', ['\t\n\\', 1] as never]]),
    )
  })

  test('of equal keys the last wins, whatever order the keys come in', async () => {
    for (const type of [int, { type: 'number' }, str]) {
      const schema = freshSchema()
      await using s = await open(schema)
      await s.declare(schemaOf('k', { id: type, v: int }))
      const of = (id: number): number | string => (type === str ? String(id) : id)
      let v = 0
      const last = new Map<string, number>()
      for (const batch of [
        [1, 2, 3],
        [3, 4],
        [9, 10],
        [11],
        [12, 13],
        [13],
        [12, 12],
        [-5, -4, 0],
        [12, 13],
        [1, 9007199254740991, 9007199254740992],
        [9007199254740992, 5],
      ]) {
        const lines = batch.map((id) => {
          last.set(String(id), ++v)
          return JSON.stringify({ id: of(id), v })
        })
        await s.write('k', recordsOf('k', lines))
        if (batch[0] === 9) await s.flush()
      }
      await s.flush()
      const rows = await db.query(`SELECT id::text, v::int FROM ${schema}.k ORDER BY v`)
      assert.deepEqual(
        rows.map((r) => r['v']),
        [...last.values()].sort((a, b) => a - b),
      )
    }
  })

  test('of equal keys the last wins among old rows and new ones, across batches, commits and runs', async () => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    let state = seed
    const random = (below: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 1
      return (state >>> 8) % below
    }
    const schema = freshSchema()
    const last = new Map<string, number>()
    let v = 0
    let rising = 0
    for (let run = 0; run < 4; run++) {
      await using s = await open(schema)
      await s.declare(schemaOf('k', { id: int, v: int, filling: str }))
      for (let batch = 0; batch < 12; batch++) {
        const lines = Array.from({ length: 1 + random(60) }, () => {
          // New ones rise but for gaps that are filled later; old ones come again; some are beyond what a double holds.
          const ids = [
            () => (rising += 1 + random(3)),
            () => random(rising + 2),
            () => -random(9),
            () => 9007199254740990 + random(5),
          ]
          const id = (ids[Math.min(random(6), 3)] as () => number)()
          const text = id > Number.MAX_SAFE_INTEGER ? `900719925474099${random(5)}` : String(id)
          last.set(text, ++v)
          // What has an escape of a character is taken the exact way.
          const filling = random(4) === 0 ? '\\ud83d\\ude9a' : 'x'.repeat(random(2) === 0 ? 20_000 : 3)
          return `{"id":${text},"v":${v},"filling":"${filling}"}`
        })
        await s.write('k', recordsOf('k', lines))
        if (random(4) === 0) await s.flush()
      }
      await s.flush()
      const rows: readonly Readonly<Record<string, unknown>>[] = await db.query(
        `SELECT id::text, v::int FROM ${schema}.k ORDER BY v`,
      )
      assert.deepEqual(
        rows.map((r) => [r['id'], r['v']]),
        [...last].sort(([, a], [, b]) => a - b),
        `SEED=${seed}`,
      )
    }
  })

  test('a key that no index takes is rejected', async () => {
    const schema = freshSchema()
    await using s = await open(schema)
    await s.declare(schemaOf('k', { id: str, other: str }, ['id', 'other']))
    const key = (n: number): string => `{"id":"${'x'.repeat(n - 5)}","other":"y"}`
    for (const long of [key(3000), JSON.parse(key(3000)) as JsonObject]) {
      const [why] = await rejectedOf(s.write('k', recordsOf('k', [long])))
      assert.match(why ?? '', /more than 2600 bytes/)
    }
    let random = ''
    for (let i = 0; i < 2590; i++) random += String.fromCharCode(33 + ((i * i * 7919 + (i << 3)) % 57))
    await s.write('k', recordsOf('k', [{ id: random.replaceAll(/["\\]/g, 'q'), other: '' }]))
    await s.flush()
    assert.equal((await db.query(`SELECT 1 FROM ${schema}.k`)).length, 1)
  })

  test('names of more than 63 bytes keep apart, and no character is cut in two', async () => {
    const schema = freshSchema()
    const long = (end: string): string => `${'é'.repeat(40)}${end}`
    await using s = await open(schema, { metadata: true })
    for (const stream of [long('a'), long('b'), 'x'.repeat(63), 'x'.repeat(64), `${'x'.repeat(62)}東`]) {
      await s.declare(schemaOf(stream, { id: int, [long('c')]: str, [long('d')]: str, ctid: str, 'a"b': str }))
      await s.write(stream, recordsOf(stream, [{ id: 1, [long('c')]: 'c', [long('d')]: 'd', ctid: 'e', 'a"b': 'f' }]))
    }
    await s.flush()
    const tables = await db.query(
      `SELECT relname::text AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = '${schema}'::regnamespace AND relname <> '_millrace_catalog'`,
    )
    assert.equal(tables.length, 5)
    for (const { name } of tables) {
      assert.ok(!String(name).includes('\ufffd') && Buffer.byteLength(String(name)) <= 63)
      const [row] = await db.query(`SELECT * FROM ${schema}."${name}"`)
      assert.deepEqual(Object.values(row ?? {}).slice(0, 5), ['1', 'c', 'd', 'e', 'f'])
    }
  })

  test('a view on a column that must widen is refused in words, and the table stays', async () => {
    const schema = freshSchema()
    await using s = await open(schema)
    await s.declare(schemaOf('w', { id: int, v: int }))
    await s.write('w', recordsOf('w', ['{"id":1,"v":1}']))
    await s.flush()
    await db.query(`CREATE VIEW ${schema}.theirs AS SELECT v FROM ${schema}.w`)
    await assert.rejects(
      s.declare(schemaOf('w', { id: int, v: str })),
      (e: unknown) => isMillraceError(e) && e.code === 'DESTINATION_REFUSED' && /used by a view/.test(e.message),
    )
    assert.deepEqual(await db.query(`SELECT v FROM ${schema}.theirs`), [{ v: '1' }])
  })

  test('columns and indexes of others stay, also when a row is replaced', async () => {
    const schema = freshSchema()
    await using s = await open(schema)
    await s.declare(schemaOf('o', { id: int, v: int }))
    await s.write('o', recordsOf('o', ['{"id":1,"v":1}']))
    await s.flush()
    await db.query(`ALTER TABLE ${schema}.o ADD COLUMN mine text DEFAULT 'x'; CREATE INDEX ON ${schema}.o (v)`)
    await s.declare(schemaOf('o', { id: int, v: { type: 'number' } }))
    await s.write('o', recordsOf('o', ['{"id":1,"v":1.5}', '{"id":2,"v":2}']))
    await s.flush()
    assert.deepEqual(await db.query(`SELECT v, mine FROM ${schema}.o ORDER BY id`), [
      { v: 1.5, mine: 'x' },
      { v: 2, mine: 'x' },
    ])
  })

  test('two runs that both find no table agree on one, and each gets the columns of the other', async () => {
    const schema = freshSchema()
    await using a = await open(schema)
    await using b = await open(schema)
    await a.declare(schemaOf('r', { id: int, a: int }))
    await a.write('r', recordsOf('r', ['{"id":1,"a":1}']))
    // Waits for the other's transaction.
    const later = b.declare(schemaOf('r', { id: int, b: str, a: str }))
    await a.flush()
    await later
    await b.write('r', recordsOf('r', ['{"id":1,"b":"b","a":"x"}', '{"id":2,"b":"b"}']))
    const again = a.write('r', recordsOf('r', ['{"id":3,"a":7,"c":true}']))
    await b.flush()
    await again
    await a.flush()
    assert.deepEqual(await db.query(`SELECT * FROM ${schema}.r ORDER BY id`), [
      { id: '1', a: 'x', b: 'b', c: null },
      { id: '2', a: null, b: 'b', c: null },
      { id: '3', a: '7', b: null, c: true },
    ])
  })

  test('two processes that make, change and fill one table at once do not corrupt it', async () => {
    const schema = freshSchema()
    const settings = JSON.stringify({
      ...Object.fromEntries(Object.entries(postgres.config).map(([key, field]) => [key, field.default])),
      url: db.url,
      schema,
    })
    const flusher = join(import.meta.dirname, '../../sql/testing/flusher.ts')
    const flushes = 10
    const run = async (): Promise<number> => {
      const child = spawn(process.execPath, [flusher, join(import.meta.dirname, 'index.ts'), settings, '0'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const ended = once(child, 'exit')
      let told = 0
      for await (const line of createInterface({ input: child.stdout })) {
        told = Number(line)
        if (told === flushes) child.kill('SIGKILL')
      }
      const [, signal] = (await ended) as [number | null, string | null]
      assert.equal(signal, 'SIGKILL', 'a run ended by itself')
      return told
    }
    const told = await Promise.all([run(), run()])
    const [held] = await db.query(
      `SELECT count(*)::int AS n, count(DISTINCT id)::int AS ids, max(id)::int AS last, bool_and(length(text) = id % 300) AS whole FROM ${schema}.k`,
    )
    const rows = Number(held?.['n'])
    assert.ok(rows >= Math.max(...told) * rowsPerFlush, `${told.join(' and ')} flushes, ${rows} rows`)
    assert.deepEqual(held, { n: rows, ids: rows, last: rows - 1, whole: true })
    const columns = await db.query(
      `SELECT attname::text AS name FROM pg_attribute WHERE attrelid = '${schema}.k'::regclass AND attnum > 0`,
    )
    assert.ok(columns.some((c) => c['name'] === 'more1'))
    await using next = await open(schema)
    await next.declare(schemaOf('k', { id: int, flush: int, text: str }))
    await next.flush()
  })
})
