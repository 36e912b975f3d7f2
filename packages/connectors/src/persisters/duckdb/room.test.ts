import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  isMillraceError,
  type PersisterContext,
  type PersisterSession,
  RecordMessage,
  type SchemaMessage,
  silentLogger,
} from '@millrace/sdk'
import { duckdb } from './index.ts'

// Its memory was the same for every table: one with many columns or long rows could not be loaded at all.
describe('duckdb: room for what is wide or long', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-duckdb-'))
  })
  after(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  const open = async (name: string, memory?: number): Promise<PersisterSession> => {
    const config = { path: join(folder, name), schema: 'main', nested: 'json', mode: 'upsert', deletes: 'hard' }
    return await duckdb.open({
      config: { ...config, metadata: false, memory },
      log: silentLogger,
      signal: new AbortController().signal,
    } as unknown as PersisterContext)
  }

  const schemaOf = (properties: readonly string[], keys: readonly string[]): SchemaMessage => ({
    type: 'SCHEMA',
    stream: 't',
    schema: { properties: Object.fromEntries(properties.map((p) => [p, { type: p === 'id' ? 'integer' : 'string' }])) },
    keyProperties: keys,
    line: 1,
  })

  /** Loads rows in batches of some megabytes, and answers what is in the table after a flush. */
  const load = async (
    session: PersisterSession,
    schema: SchemaMessage,
    rows: number,
    fieldsOf: (row: number) => string,
  ): Promise<number | undefined> => {
    await session.declare(schema)
    for (let row = 0; row < rows; row += 100)
      await session.write(
        't',
        Array.from({ length: Math.min(100, rows - row) }, (_, i) => {
          const buffer = Buffer.from(`{"id":${row + i}${fieldsOf(row + i)}}`)
          return new RecordMessage('t', row + i + 2, { buffer, from: 0, to: buffer.length }, {})
        }),
      )
    await session.flush()
    return (await session.evidence?.())?.[0]?.rows
  }

  const wide = Array.from({ length: 300 }, (_, i) => `c${i}`)
  const wideFields = (row: number): string => wide.map((c) => `,"${c}":"text ${row} ${c}"`).join('')

  for (const keys of [['id'], []])
    test(`300 columns, ${keys.length === 0 ? 'no keys' : 'keys'}`, async () => {
      await using session = await open(`wide${keys.length}.duckdb`)
      assert.equal(await load(session, schemaOf(['id', ...wide], keys), 3_000, wideFields), 3_000)
    })

  for (const keys of [['id'], []])
    test(`texts of 30 kB, ${keys.length === 0 ? 'no keys' : 'keys'}; then short ones`, async () => {
      const schema = schemaOf(['id', 'a', 'b'], keys)
      const long = (row: number): string => `,"a":"${`${row} a `.repeat(5_000)}","b":"${`${row} b `.repeat(5_000)}"`
      const name = `long${keys.length}.duckdb`
      {
        await using session = await open(name)
        assert.equal(await load(session, schema, 2_000, long), 2_000)
      }
      await using session = await open(name)
      assert.equal(await load(session, schema, 1, () => ',"a":"x"'), keys.length === 0 ? 2_001 : 2_000)
    })

  test('where it is not enough, the error names the setting', async () => {
    await using session = await open('little.duckdb', 40 * 1024 * 1024)
    await assert.rejects(
      load(session, schemaOf(['id', ...wide], ['id']), 3_000, wideFields),
      (e: unknown) => isMillraceError(e) && e.code === 'DESTINATION_UNAVAILABLE' && /`memory`/.test(e.fix),
    )
  })
})
