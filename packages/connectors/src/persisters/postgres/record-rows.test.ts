import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Message, MessageReader, type RecordMessage } from '@millrace/sdk'
import fc from 'fast-check'
import { RecordScanner } from '../../sql/scanner.ts'
import type { Cell, Column, ColumnType, Table } from '../../sql/types.ts'
import { CopyWriter } from './copy-rows.ts'
import { postgresDialect } from './dialect.ts'
import { RecordRows } from './record-rows.ts'

const dialect = postgresDialect('s')

const tableOf = (columns: Readonly<Record<string, ColumnType>>, keys: readonly string[] = []): Table => ({
  name: 't',
  substream: 't',
  path: [],
  columns: Object.entries(columns).map(([name, type]): Column => ({ name, type, path: [name] })),
  keys,
})

/** Records as a reader gives them: parts of one buffer. */
const recordsOf = (lines: readonly string[]): readonly RecordMessage[] => {
  const reader = new MessageReader()
  const text = lines.map((line) => `{"type":"RECORD","stream":"t","record":${line}}\n`).join('')
  const messages: readonly Message[] = [...reader.push(Buffer.from(text)), ...reader.end()]
  return messages.filter((m): m is RecordMessage => m.type === 'RECORD')
}

const writerOf = (table: Table, rows: RecordRows): CopyWriter =>
  new CopyWriter(table, { counter: { next: 0 }, highest: 5, open: () => rows })

/** Rows that go into the table, and rows that are staged. */
const linesOf = (writer: CopyWriter): readonly [string, string] => {
  writer.finish()
  return [writer.direct.lines.toString(), writer.staged.lines.toString()]
}

/** Takes records the usual way, and as the scanner finds them; answers how many were taken by bytes. */
const compare = (table: Table, lines: readonly string[], metadata: readonly Cell[] = []): number => {
  const records = recordsOf(lines)
  const rows = new RecordRows(table)
  const fast = writerOf(table, rows)
  const exact = writerOf(table, rows)
  let plain = 0
  for (const record of records) {
    // A scanner that knows an odd order of fields gives up where a new one does not.
    const scanner = new RecordScanner(table, new Set(), dialect)
    const found = scanner.scan(record.buffer, record.from, record.to)
    const text = record.buffer.toString('utf8', record.from, record.to)
    if (fast.plain(record, metadata)) {
      assert.ok(found, `taken, though it is not plain: ${text}`)
      plain++
    } else if (found) fast.raw(record, scanner.spans, metadata)
    if (found) exact.raw(record, scanner.spans, metadata)
  }
  assert.deepEqual(linesOf(fast), linesOf(exact))
  return plain
}

const every = tableOf(
  {
    id: 'integer',
    whole: 'integer',
    float: 'float',
    flag: 'boolean',
    text: 'text',
    at: 'timestamp',
    day: 'date',
    hour: 'time',
    exact: 'decimal',
    cents: 'decimal(2)',
    nested: 'json',
    'é, a key that is longer than sixteen bytes': 'text',
  },
  ['id'],
)

const texts = fc.string({ unit: fc.constantFrom(...'\b\f\n\r\t\v\\"/\u0001\u007f abcdé🚚'), maxLength: 50 })
const values: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  id: fc.oneof(fc.integer({ min: -9, max: 99 }), fc.maxSafeInteger()),
  whole: fc.oneof(fc.maxSafeInteger(), fc.integer()),
  float: fc.double({ noNaN: true, noDefaultInfinity: true }),
  flag: fc.boolean(),
  text: texts,
  at: fc.oneof(
    fc.date({ noInvalidDate: true }).map((d) => d.toISOString()),
    fc.constantFrom(
      '2024-02-30T00:00:00Z',
      '2023-02-29T00:00:00+00:00',
      '2024-12-31T23:59:59.1234567Z',
      '0000-01-01T00:00:00Z',
    ),
    fc.constantFrom(
      '2024-01-31T00:00:00.Z',
      '2024-01-31T24:00:00Z',
      '2024-01-31 00:00:00Z',
      '2024-01-31T00:00:00+01:00',
      '',
    ),
  ),
  day: fc.constantFrom('2024-01-31', '2024-04-31', '2024-02-29', '2023-02-29', '2024-00-01', '2024-01-00', 'x'),
  hour: fc.constantFrom('12:00:00', '25:00:00'),
  exact: fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true })),
  cents: fc.oneof(
    fc.integer().map((n) => n / 100),
    fc.constantFrom(0, -0.07, 1.005, 1e22, 99999999999.99, 999999999999.99, 9999999999999.99, 0.1, 5),
  ),
  nested: fc.oneof(
    fc.jsonValue(),
    fc.array(texts),
    fc.dictionary(texts, texts),
    fc.constant([[[{}]], { a: [] }, -0.5, 1e30]),
  ),
  'é, a key that is longer than sixteen bytes': texts,
}
const plainRecord = fc.record(
  Object.fromEntries(
    Object.entries(values)
      .filter(([k]) => k !== 'hour' && k !== 'exact' && k !== 'cents')
      .map(([k, v]) => [k, fc.option(v, { freq: 4 })]),
  ),
)
const anyRecord = fc.record(
  Object.fromEntries(
    Object.entries(values).map(([k, v]) => [
      k,
      fc.option(fc.oneof({ weight: 9, arbitrary: v }, { weight: 1, arbitrary: fc.jsonValue() })),
    ]),
  ),
  { requiredKeys: [] },
)

describe('rows out of the bytes of plain records', () => {
  it('are those that the scanner and the encoder make, and nothing else is taken', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(anyRecord, plainRecord), { minLength: 1, maxLength: 20 }), (records) => {
        compare(
          every,
          records.map((r) => JSON.stringify(r)),
        )
      }),
      { numRuns: 400 },
    )
  })

  it('does not take what a byte made wrong, or another spelling', () => {
    const change = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      remove: fc.nat({ max: 2 }),
      insert: fc.string({ unit: fc.constantFrom(...'{}[]":,\\u0tfn1.e- \tZT'), maxLength: 3 }),
    })
    fc.assert(
      fc.property(plainRecord, fc.array(change, { minLength: 1, maxLength: 3 }), (record, changes) => {
        let text = JSON.stringify(record)
        for (const { at, remove, insert } of changes) {
          const from = 1 + Math.floor(at * (text.length - 1))
          text = text.slice(0, from) + insert + text.slice(from + remove)
        }
        // A reader would not give more than one record, or less.
        if (recordsOf([text]).length === 1) compare(every, [text])
      }),
      { numRuns: 2000 },
    )
  })

  it('takes nearly all records of the usual kind, also where fields are missing or came in another order', () => {
    const table = tableOf(
      {
        id: 'integer',
        name: 'text',
        at: 'timestamp',
        tags: 'json',
        ok: 'boolean',
        cents: 'decimal(2)',
        any: 'decimal',
      },
      ['id'],
    )
    const lines = Array.from({ length: 5000 }, (_, i) =>
      JSON.stringify({
        id: i,
        ...(i % 3 === 0 ? {} : { name: `n "${i}" \\` }),
        tags: ['é', i / 8, { a: null }],
        ok: i % 2 === 0,
        at: '2024-01-31T00:00:00+00:00',
        cents: i / 100,
        any: i / 8,
      }),
    )
    const plain = compare(table, lines)
    assert.ok(plain > 4990, String(plain))
  })

  it('writes metadata, and leaves records that are long, or have long keys, to others', () => {
    const base = tableOf({ id: 'integer', name: 'text' }, ['id', 'name'])
    const column = (name: '_sdc_extracted_at' | '_sdc_sequence', type: ColumnType): Column => ({
      name,
      type,
      path: [],
      metadata: name,
    })
    const table = {
      ...base,
      columns: [column('_sdc_sequence', 'integer'), ...base.columns, column('_sdc_extracted_at', 'timestamp')],
    }
    const lines = [10, 2000, 2600, 3000, 49_000, 200_000].map((n, i) =>
      JSON.stringify({ id: i, name: '"'.repeat(n / 2) }),
    )
    assert.equal(compare(table, lines, ['7', '"2024-01-31T00:00:00.000Z"']), 2)
    assert.equal(compare(table, lines, ['7', null]), 2)
  })
})
