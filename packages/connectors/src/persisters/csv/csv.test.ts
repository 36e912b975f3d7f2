import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import {
  type ConfigOf,
  type JsonObject,
  type PersisterSession,
  RecordMessage,
  RejectedRecords,
  resolveConfig,
  silentLogger,
} from '@millrace/sdk'
import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { csv } from './index.ts'

const root = mkdtempSync(join(tmpdir(), 'csv-'))
after(() => rmSync(root, { recursive: true, force: true }))
const folder = (): string => mkdtempSync(join(root, 'f-'))

const open = async (path: string, settings: JsonObject = {}): Promise<PersisterSession> =>
  await csv.open({
    config: resolveConfig(csv.config, { kind: 'persister', name: 'csv', file: { path, lineEnding: 'lf', ...settings } })
      .config as ConfigOf<never>,
    log: silentLogger,
    signal: new AbortController().signal,
  })
const record = (text: string): RecordMessage => {
  const buffer = Buffer.from(text)
  return new RecordMessage('s', 1, { buffer, from: 0, to: buffer.length })
}
const columns = (...names: readonly string[]): JsonObject => ({
  properties: Object.fromEntries(names.map((n) => [n, {}])),
})
type Step = JsonObject | readonly string[]
/** A session that takes schemas (objects) and batches (arrays of record texts) in turn. */
const session = async (path: string, steps: readonly Step[], settings: JsonObject = {}): Promise<void> => {
  await using s = await open(path, settings)
  for (const step of steps) {
    if (Array.isArray(step)) await s.write('s', (step as readonly string[]).map(record))
    else await s.declare({ type: 'SCHEMA', stream: 's', schema: step as JsonObject, keyProperties: [], line: 1 })
  }
  await s.flush()
  await s.finish?.()
}
const read = (path: string, name = 's.csv'): string => readFileSync(join(path, name), 'utf8')

describe('csv', () => {
  it('columns from the schema; numbers digit for digit; nested as JSON; null and the empty text told apart', async () => {
    const path = folder()
    await session(path, [
      columns('id', 'n', 't', 'o'),
      [
        '{"id":1,"n":1.50,"t":"a,\\"b\\"","o":{"x":[1.10,"é"]}}',
        '{ "o": null , "t" : "", "n" : -12345678901234567890.123e-7 }',
        '{"t":"line\\nbreak=1+1","id":true}',
      ],
    ])
    assert.equal(
      read(path),
      'id,n,t,o\n1,1.50,"a,""b""","{""x"":[1.10,""é""]}"\n,-12345678901234567890.123e-7,"",\ntrue,,"line\nbreak=1+1",\n',
    )
  })

  it('null in the only column is no empty line, which readers skip', async () => {
    // Of three records, our own streamer `files` gave one.
    const rows = ['{"s":null}', '{"s":"x"}', '{}', '{"s":""}']
    const plain = folder()
    await session(plain, [columns('s'), rows])
    assert.equal(read(plain), 's\n""\nx\n""\n""\n')
    const told = folder()
    await session(told, [columns('s'), rows], { nullText: String.raw`\N` })
    assert.equal(read(told), 's\n\\N\nx\n\\N\n""\n')
  })

  it('replace begins anew what an unfinished run left, all parts of it, where no state was ever kept', async () => {
    const path = folder()
    const config = resolveConfig(csv.config, { kind: 'persister', name: 'csv', file: { path, mode: 'replace' } }).config
    const run = async (texts: readonly string[], finish: boolean): Promise<void> => {
      await using s = await csv.open({
        config: config as ConfigOf<never>,
        log: silentLogger,
        signal: new AbortController().signal,
        startsOver: true,
      })
      for (const text of texts) await s.write('s', [record(text)])
      await s.flush()
      if (finish) await s.finish?.()
    }
    await run(['{"id":1}', '{"id":2,"more":true}'], false)
    await run(['{"id":1}', '{"id":2}'], true)
    assert.deepEqual(
      readdirSync(path).filter((n) => !n.startsWith('.millrace')),
      ['s.csv'],
    )
    assert.equal(read(path).replaceAll('\r', ''), 'id\n1\n2\n')
  })

  it('the dialect: delimiter, quote, no header, null text, line end', async () => {
    const path = folder()
    const settings = { delimiter: 'tab', quote: "'", header: false, nullText: '\\N', lineEnding: 'crlf' }
    await session(path, [columns('a', 'b'), ['{"a":"it\'s","b":"x,y"}', '{"a":null,"b":"\\\\N"}']], settings)
    assert.equal(read(path), "'it''s'\tx,y\r\n\\N\t'\\N'\r\n")
    for (const wrong of [
      { delimiter: '5' },
      { delimiter: ',,' },
      { quote: ',' },
      { nullText: 'a,b' },
      { delimiter: '\n' },
    ])
      await assert.rejects(open(folder(), wrong), { code: 'CONFIG_INVALID' })
  })

  it('without a schema the columns are the fields that come', async () => {
    const path = folder()
    await session(path, [['{"a":1}', '{"b":2,"a\\u0062":3}']])
    assert.equal(read(path), 'a,b,ab\n1,,\n,2,3\n')
  })

  it('new columns begin a part of their own: none is shifted, the old file stays as it is', async () => {
    const path = folder()
    await session(path, [columns('a', 'b'), ['{"a":1,"b":2}']])
    await session(path, [columns('c', 'a'), ['{"c":3,"a":4}'], columns('a'), ['{"a":5}', '{"a":6,"d":7}'], ['{"b":8}']])
    assert.equal(read(path), 'a,b\n1,2\n')
    assert.equal(read(path, 's~2.csv'), 'a,b,c\n4,,3\n')
    assert.equal(read(path, 's~3.csv'), 'a,b,c,d\n5,,,\n6,,,7\n,8,,\n')
    await session(path, [columns('d', 'a'), ['{"d":9}']])
    assert.equal(read(path, 's~3.csv'), 'a,b,c,d\n5,,,\n6,,,7\n,8,,\n,,,9\n')
  })

  it('a file in another dialect, or of somebody else, is not appended to', async () => {
    const path = folder()
    writeFileSync(join(path, 's.csv'), 'theirs\n1\n')
    await session(path, [columns('a'), ['{"a":1}']])
    await session(path, [columns('a'), ['{"a":2}']], { delimiter: ';' })
    assert.deepEqual([read(path), read(path, 's~2.csv'), read(path, 's~3.csv')], ['theirs\n1\n', 'a\n1\n', 'a\n2\n'])
  })

  it('what no line can hold is rejected, and nothing else of the batch is written', async () => {
    const path = folder()
    {
      await using s = await open(path)
      const batch = ['{"a":1}', '{"a":"\\ud800"}', '{"a":tru}', '{"a":"\\x"}'].map(record)
      await assert.rejects(s.write('s', batch), (e: Error) => {
        assert.ok(e instanceof RejectedRecords)
        assert.deepEqual(
          e.rejected.map((r) => batch.indexOf(r.record)),
          [1, 2, 3],
        )
        return true
      })
      await s.write('s', [batch[0] as RecordMessage])
      await s.flush()
    }
    assert.equal(read(path), 'a\n1\n')
    await using s = await open(folder())
    await assert.rejects(s.write('s', [record('{}')]), RejectedRecords)
  })

  it('a value that is no JSON is rejected, every number is taken', async () => {
    const path = folder()
    const good = ['0', '-0', '-0.0', '10', '1.5', '1e5', '1E+5', '-1.25e-7', 'true', 'false', 'null']
    await session(path, [columns('a'), good.map((v) => `{"a":${v}}`)])
    assert.deepEqual(
      read(path).split('\n').slice(1, -1),
      good.map((v) => (v === 'null' ? '""' : v)),
    )
    await using s = await open(folder())
    for (const bad of ['01', '-', '1.', '.5', '1e', '1e+', '--1', '1.5.5', 'tru', 'nul', 'NaN', '0x1', ''])
      await assert.rejects(s.write('s', [record(`{"a":${bad}}`)]), RejectedRecords, bad)
  })

  it('mode replace: parts go with the file, a substream without records keeps its header', async () => {
    const path = folder()
    await session(path, [columns('a'), ['{"a":1}', '{"b":1}'], ['{"c":1}']])
    await session(path, [columns('x')], { mode: 'replace' })
    assert.equal(read(path), 'x\n')
    assert.deepEqual(
      readdirSync(path).filter((n) => n.endsWith('.csv')),
      ['s.csv'],
    )
  })

  it('fields that carry data in their names are refused at last', async () => {
    await using s = await open(folder())
    const wide = Object.fromEntries(Array.from({ length: 20_001 }, (_, i) => [`f${i}`, i]))
    await assert.rejects(s.write('s', [record(JSON.stringify(wide))]), { code: 'SCHEMA_CHANGE_REFUSED' })
  })

  it('what a reader of CSV reads is what was written', async () => {
    const key = fc.constantFrom('a', 'b', '__proto__', 'é"', 'x,y', 'constructor', '')
    const value = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('"', ',', '\r\n', '\\', '\n', '""', '\u0000'),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.jsonValue(),
    )
    const row = fc.array(fc.tuple(key, value), { minLength: 1 }).map((pairs) => {
      const to: Record<string, unknown> = Object.create(null)
      for (const [k, v] of pairs) to[k] = v
      return to
    })
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 8 }), async (rows) => {
        const path = folder()
        await session(path, [rows.map((r) => JSON.stringify(r))])
        const lines = parse(readFileSync(join(path, 's.csv'))) as string[][]
        const names = lines.shift() as string[]
        assert.equal(lines.length, rows.length)
        for (const [i, of] of rows.entries())
          for (const [c, name] of names.entries()) {
            const v = Object.hasOwn(of, name) ? of[name] : null
            const text = v === null ? '' : typeof v === 'string' ? v : JSON.stringify(v)
            assert.equal(lines[i]?.[c], text)
          }
        rmSync(path, { recursive: true })
      }),
      { numRuns: 300 },
    )
  })
})
