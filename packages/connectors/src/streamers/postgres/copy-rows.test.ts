import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Connection } from 'pg'
import { CopyOut } from './copy-out.ts'
import { CopyRows, lineOf, type LineShape, type Lines } from './copy-rows.ts'
import type { Spelling } from './values.ts'

/** A message of the server: its letter, its length, which counts itself, and its content. */
const message = (letter: string, content: Buffer | string): Buffer => {
  const body = Buffer.from(content)
  const head = Buffer.alloc(5)
  head.write(letter)
  head.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

const shapeOf = (...spellings: readonly Spelling[]): LineShape => ({
  columns: spellings.map((spelling, i) => ({ name: `c"${i}\u0001é`, spelling })),
  before: '{"type":"RECORD","stream":"s","record":',
  after: ',"version":7}',
})

/** The values of the record of each line, as they are written. */
const textOf = (lines: readonly Lines[]): string => Buffer.concat(lines.map((l) => l.bytes)).toString()

const linesOf = (shape: LineShape, pieces: readonly Buffer[]): { readonly text: string; readonly count: number } => {
  const rows = new CopyRows(shape)
  const found: Lines[] = []
  for (const piece of pieces)
    assert.equal(
      rows.push(piece, (l) => found.push(l)),
      piece.length,
    )
  return { text: textOf(found), count: found.reduce((n, l) => n + l.count, 0) }
}

/** One column of one row. */
const value = (spelling: Spelling, text: string): string => {
  const shape = shapeOf(spelling)
  const { text: line } = linesOf(shape, [message('d', `${text}\n`)])
  assert.equal(lineOf(Buffer.from(`${text}\n`), shape).toString(), line)
  const before = `${shape.before}{"c\\"0\\u0001é":`
  assert.ok(line.startsWith(before) && line.endsWith(`}${shape.after}\n`), line)
  return line.slice(before.length, -`}${shape.after}\n`.length)
}

describe('rows of COPY as lines', () => {
  for (const [spelling, text, json] of [
    ['boolean', 't', 'true'],
    ['boolean', 'f', 'false'],
    ['boolean', '\\N', 'null'],
    ['number', '-12345678901234567890.50', '-12345678901234567890.50'],
    ['number', '1e+22', '1e+22'],
    ['number', 'NaN', '"NaN"'],
    ['number', '-Infinity', '"-Infinity"'],
    ['text', '', '""'],
    ['text', '\\N', 'null'],
    ['text', '\\\\N', '"\\\\N"'],
    [
      'text',
      'a\\tb\\nc\\\\d\\v\\b\\f\\r"é🚚\u0001\u001f\u007f',
      '"a\\tb\\nc\\\\d\\u000b\\b\\f\\r\\"é🚚\\u0001\\u001f\u007f"',
    ],
    ['local', '2024-03-01 12:00:00', '"2024-03-01T12:00:00+00:00"'],
    ['local', '0044-03-15 12:00:00.5 BC', '"0044-03-15T12:00:00.5+00:00 BC"'],
    ['local', '-infinity', '"-infinity"'],
    ['instant', '2024-03-01 12:00:00.123456+00', '"2024-03-01T12:00:00.123456+00:00"'],
    ['instant', '0044-03-15 12:00:00+00 BC', '"0044-03-15T12:00:00+00:00 BC"'],
    ['instant', '294276-12-31 23:59:59.999999+00', '"294276-12-31T23:59:59.999999+00:00"'],
    ['instant', 'infinity', '"infinity"'],
    ['json', '{"a":\\n\\t1, "b": "\\\\n\\\\\\\\"}', '{"a":  1, "b": "\\n\\\\"}'],
    ['server', '["x",null]', '["x",null]'],
  ] as const)
    it(`spells ${spelling} ${JSON.stringify(text)}`, () => {
      assert.equal(value(spelling, text), json)
    })

  it('makes the same of any text, wherever it is cut', () => {
    const escapes: Readonly<Record<string, string>> = {
      '\b': '\\b',
      '\f': '\\f',
      '\n': '\\n',
      '\r': '\\r',
      '\t': '\\t',
      '\v': '\\v',
      '\\': '\\\\',
    }
    const spelling = fc.constantFrom<Spelling>('boolean', 'number', 'text', 'local', 'instant')
    const nasty = fc.string({ unit: fc.constantFrom(...'\b\f\n\r\t\v\\"/\u0001\u001f\u007fN abcé🚚'), maxLength: 60 })
    const textsOf = (s: Spelling): fc.Arbitrary<string | null> =>
      fc.option(
        {
          boolean: fc.constantFrom('t', 'f'),
          number: fc.oneof(fc.double().map(String), fc.bigInt().map(String), fc.constantFrom('NaN', 'Infinity')),
          text: nasty,
          local: fc.constantFrom('2024-03-01 12:00:00', '10000-01-01 00:00:00.1 BC', 'infinity'),
          instant: fc.constantFrom('2024-03-01 12:00:00+00', '10000-01-01 00:00:00.1+00', '-infinity'),
          json: fc.json(),
          server: fc.json(),
        }[s],
      )
    const table = fc
      .array(spelling, { maxLength: 6 })
      .chain((spellings) =>
        fc.tuple(
          fc.constant(spellings),
          fc.array(fc.tuple(...spellings.map(textsOf)), { minLength: 1, maxLength: 12 }),
        ),
      )
    fc.assert(
      fc.property(table, fc.array(fc.nat({ max: 400 })), ([spellings, rows], cuts) => {
        const shape = shapeOf(...spellings)
        const sent = rows.map((row) =>
          Buffer.from(
            `${row.map((v) => (v === null ? '\\N' : v.replaceAll(/[\b\f\n\r\t\v\\]/g, (c) => escapes[c] ?? c))).join('\t')}\n`,
          ),
        )
        const expected = sent.map((row) => lineOf(row, shape).toString()).join('')
        const all = Buffer.concat(sent.map((row) => message('d', row)))
        const places = [0, ...cuts.filter((c) => c < all.length).toSorted((a, b) => a - b), all.length]
        const pieces = places.slice(1).map((end, i) => all.subarray(places[i], end))
        assert.deepEqual(linesOf(shape, pieces), { text: expected, count: rows.length })
        for (const [i, line] of expected.trimEnd().split('\n').entries()) {
          const { record } = JSON.parse(line) as { readonly record: Readonly<Record<string, unknown>> }
          const texts = spellings.flatMap((s, c) => (s === 'text' ? [[Object.values(record)[c], rows[i]?.[c]]] : []))
          for (const [read, meant] of texts) assert.equal(read, meant)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('takes rows beyond its memory, and many that fill it', () => {
    const shape = shapeOf('number', 'text')
    const long = [200_000, 262_130, 262_144, 3_000_000].map((n) => Buffer.from(`${n}\t${'\\t"é'.repeat(n / 5)}\n`))
    const short = Array.from({ length: 20_000 }, (_, i) => Buffer.from(`${i}\t${'"'.repeat(i % 90)}\n`))
    const rows = [...short, ...long, ...short, ...long]
    const all = Buffer.concat(rows.map((row) => message('d', row)))
    const pieces = Array.from({ length: Math.ceil(all.length / 65_536) }, (_, i) =>
      all.subarray(i * 65_536, (i + 1) * 65_536),
    )
    const { text, count } = linesOf(shape, pieces)
    assert.equal(count, rows.length)
    assert.ok(text === rows.map((row) => lineOf(row, shape).toString()).join(''))
  })

  it('refuses rows that are not as the columns say', () => {
    for (const row of ['1\n', '1\t2\t3\n', '1\t2', '', '\n'])
      assert.throws(() => linesOf(shapeOf('number', 'text'), [message('d', row)]), /not as its columns are/, row)
  })
})

describe('COPY over the connection of a client', () => {
  const open = (): { readonly copy: CopyOut; readonly socket: PassThrough; readonly passed: Buffer[] } => {
    const socket = new PassThrough({ highWaterMark: 1 << 24 })
    const passed: Buffer[] = []
    socket.on('data', (chunk: Buffer) => passed.push(chunk))
    const copy = new CopyOut('COPY', new CopyRows(shapeOf('number')))
    copy.submit({ stream: socket, query: () => {} } as unknown as Connection)
    return { copy, socket, passed }
  }

  it('leaves every other message to the client, wherever it is cut', async () => {
    const others = [message('H', '\0\0\x01\0\0'), message('N', 'a notice with d and digits'), message('c', '')]
    const [first, middle, last] = others as [Buffer, Buffer, Buffer]
    const all = Buffer.concat([first, message('d', '1\n'), middle, message('d', '2\n'), last])
    for (let cut = 0; cut <= all.length; cut++) {
      const { copy, socket, passed } = open()
      socket.write(all.subarray(0, cut))
      socket.write(all.subarray(cut))
      const found: Lines[] = []
      for await (const lines of copy.lines()) {
        found.push(lines)
        if (found.reduce((n, l) => n + l.count, 0) === 2) copy.handleReadyForQuery()
      }
      socket.end('rest')
      await once(socket, 'end')
      assert.match(textOf(found), /:1\}.*\n.*:2\}/)
      assert.equal(Buffer.concat(passed).toString(), Buffer.concat([...others, Buffer.from('rest')]).toString())
    }
  })

  it('reads no more while nobody takes the lines, and throws what the server said behind them', async () => {
    const { copy, socket } = open()
    const row = message('d', `${'1'.repeat(100_000)}\n`)
    for (let i = 0; i < 50; i++) socket.write(row)
    if (!socket.isPaused()) await once(socket, 'pause')
    const waiting = socket.readableLength
    assert.ok(waiting > 40 * row.length, String(waiting))
    let count = 0
    await assert.rejects(async () => {
      for await (const lines of copy.lines()) {
        count += lines.count
        if (count === 50) copy.handleError(new Error('the table is gone'))
      }
    }, /the table is gone/)
    assert.equal(count, 50)
  })
})
