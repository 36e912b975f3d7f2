import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { encodeJson, type Json, type JsonObject, parseExact } from '@millrace/sdk'
import type { Block } from './blocks.ts'
import { CsvLines } from './csv-lines.ts'
import { cellValue, type ColumnType, type Dialect, rowsOf, widenColumns } from './csv-rows.ts'

const usual: Dialect = { delimiter: ',', quote: '"', nullText: '' }
const blockOf = (text: string): Block => {
  const lines = text.split('\n').length
  return { bytes: Buffer.from(text), line: 2, end: 0, lines: lines + 1, terminated: true, inQuotes: false }
}
const fast = (text: string, types: readonly ColumnType[], dialect: Dialect = usual): readonly string[] | undefined => {
  const names = types.map((_, i) => `c${i}`)
  const encoded = CsvLines.for('s', names, types, dialect)?.encode(blockOf(text))
  if (encoded === undefined) return undefined
  const lines = Buffer.from(encoded.lines).toString().split('\n')
  assert.equal(lines.pop(), '')
  assert.equal(lines.length, encoded.count)
  return lines.map((l) => encodeJson((parseExact(l) as JsonObject)['record'] as Json))
}
/** The careful way; undefined where it refuses, or would widen a column. */
const careful = (text: string, types: readonly ColumnType[], dialect: Dialect): readonly string[] | undefined => {
  const names = types.map((_, i) => `c${i}`)
  const columns = Object.fromEntries(names.map((n, i) => [n, types[i] as ColumnType]))
  try {
    const rows = rowsOf(blockOf(text), dialect, 'x')
    if (rows.some((r) => r.length !== names.length)) return undefined
    if (widenColumns(columns, names, rows, new Set()) !== columns) return undefined
    return rows.map((row) =>
      encodeJson(Object.fromEntries(names.map((n, i) => [n, cellValue(row[i] ?? null, types[i] as ColumnType)]))),
    )
  } catch {
    return undefined
  }
}

describe('CSV as lines', () => {
  test('writes what is regular', () => {
    const types: ColumnType[] = ['integer', 'text', 'number', 'boolean', 'date', 'date-time']
    const rows = [
      '1,a,1.5,true,2026-01-31,2026-01-31T10:00:00Z',
      '-20,"b ""q"", c\nd",0.10,false,,2026-01-31T10:00:00.5+01:00',
      ',\\\té,12345678901234567890.1234567890,,2026-12-01,',
      '"12","","-0.5","true","2026-01-31","2026-01-31T10:00:00Z"',
    ]
    for (const newline of ['\n', '\r\n']) {
      const text = `${rows.join(newline)}${newline}${newline}7,x,1,true,,`
      assert.deepEqual(fast(text, types), careful(text, types, usual))
      assert.equal(fast(text, types)?.length, 5)
    }
  })

  test('leaves to the careful way what is not', () => {
    for (const text of [
      'x\n',
      '01\n',
      '1,2\n',
      '"1\n',
      '1"2"\n',
      '"1"2\n',
      '1e5\n',
      '-0\n',
      '+1\n',
      ' 1\n',
      '1\r\n2\n',
      '1\t\n',
    ])
      assert.equal(fast(text, ['integer']), undefined, JSON.stringify(text))
    for (const text of ['a\u0001\n', 'a"b\n', '"a\u0001"\n', '"a"b\n', 'a,b\n', 'a\rb\n'])
      assert.equal(fast(text, ['text']), undefined)
    assert.equal(CsvLines.for('s', ['a'], [undefined], usual), undefined)
    assert.equal(CsvLines.for('s', ['a'], ['text'], { ...usual, delimiter: '||' }), undefined)
  })

  test('says nothing else than the careful way, whatever comes', () => {
    const cell = fc.oneof(
      fc.constantFrom(
        '',
        '""',
        'NA',
        '"NA"',
        '0',
        '-1',
        '12.50',
        '1e3',
        'true',
        'false',
        'truex',
        '2026-01-31',
        '2026-13-01',
      ),
      fc.constantFrom(
        '2026-01-31T10:00:00Z',
        '2026-01-31T10:00:00',
        '"a ""b"" c"',
        '"x\ny"',
        '"',
        "'q'",
        '\\',
        'é\u2028',
        '\r',
        '\t',
        '"1"',
      ),
      fc.integer().map(String),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
      fc.string({ maxLength: 6 }),
    )
    const type = fc.constantFrom<ColumnType>('integer', 'number', 'boolean', 'date', 'date-time', 'text', 'text')
    const dialect = fc.constantFrom<Dialect>(
      usual,
      { ...usual, nullText: 'NA' },
      { delimiter: ';', quote: "'", nullText: '' },
      {
        delimiter: '\t',
        quote: '',
        nullText: '',
      },
    )
    const table = fc.integer({ min: 1, max: 4 }).chain((n) =>
      fc.record({
        types: fc.array(type, { minLength: n, maxLength: n }),
        rows: fc.array(fc.array(cell, { minLength: n, maxLength: n }), { minLength: 1, maxLength: 3 }),
        newline: fc.constantFrom('\n', '\n', '\r\n'),
        dialect,
      }),
    )
    let written = 0
    fc.assert(
      fc.property(table, ({ types, rows, newline, dialect: d }) => {
        const text = rows.map((r) => r.join(d.delimiter) + newline).join('')
        const got = fast(text, types, d)
        if (got === undefined) return
        written++
        assert.deepEqual(got, careful(text, types, d))
      }),
      { numRuns: 5000 },
    )
    assert.ok(written > 300, `${written} were regular`)
  })
})
