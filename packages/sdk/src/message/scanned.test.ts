/** What the reader takes from the scanner must be what it finds line by line: numbers, extents, gathered records. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Digest } from '../books/digest.ts'
import { encodeJson, parseExact } from './json.ts'
import { MessageReader, type ReaderOptions } from './reader.ts'
import { RecordLines } from './record-lines.ts'
import type { Message } from './types.ts'

const digits = fc.stringMatching(/^[1-9][0-9]{0,24}$/)
const numberText = fc.oneof(
  digits,
  fc.tuple(digits, fc.stringMatching(/^[0-9]{1,24}$/)).map(([whole, fraction]) => `-${whole}.${fraction}`),
  fc
    .tuple(digits, fc.constantFrom('e', 'E'), fc.constantFrom('', '+', '-'), fc.integer({ min: 0, max: 400 }))
    .map(([mantissa, e, sign, exponent]) => `${mantissa}${e}${sign}${exponent}`),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => JSON.stringify(n)),
)
const stringText = fc
  .oneof(fc.string(), fc.constantFrom('12345678901234567890', '1e400', '\\', '"', '}{', '\\"', 'tru1e5', '", "time'))
  .map((text) => JSON.stringify(text))
const leaf = fc.oneof(numberText, stringText, fc.constantFrom('true', 'false', 'null'))
const valueText = fc.oneof(
  leaf,
  fc.array(leaf, { maxLength: 4 }).map((items) => `[${items.join(', ')}]`),
  fc.array(leaf, { maxLength: 3 }).map((items) => `{${items.map((item, i) => `"k${i}": ${item}`).join(',')}}`),
)
const recordText = fc
  .array(valueText, { maxLength: 6 })
  .map((values) => `{${values.map((value, i) => `"f${i}":${value}`).join(',')}}`)
const tail = fc.constantFrom(
  '}',
  ',"time_extracted":"2026-01-01T00:00:00.000000Z"}',
  ',"time_extracted":"2026-01-02T03:04:05Z"}',
  ', "time_extracted": "2026-01-01T00:00:00Z"}',
  ',"version":7}',
  ' }\r',
)
const lines = fc.array(
  fc.record({
    stream: fc.constantFrom('a', 'b', 'longer_name'),
    record: recordText,
    tail,
    run: fc.integer({ min: 1, max: 9 }),
  }),
  { minLength: 4, maxLength: 30 },
)
/** Where the input is cut into chunks. */
const cuts = fc.array(fc.nat(1_000_000), { maxLength: 4 })

interface Line {
  readonly stream: string
  readonly record: string
  readonly text: string
}

const linesOf = (drawn: readonly { stream: string; record: string; tail: string; run: number }[]): readonly Line[] =>
  drawn.flatMap(({ stream, record, tail, run }) =>
    Array.from({ length: run }, () => ({
      stream,
      record,
      text: `{"type":"RECORD","stream":"${stream}","record":${record}${tail}`,
    })),
  )

const chunksOf = (text: string, cuts: readonly number[]): readonly Buffer[] => {
  const b = Buffer.from(text)
  const places = [...new Set([0, ...cuts.map((cut) => cut % b.length), b.length])].toSorted((x, y) => x - y)
  return places.slice(1).map((end, i) => b.subarray(places[i] ?? 0, end))
}

const read = function* (chunks: readonly Buffer[], options: ReaderOptions): Generator<Message | RecordLines> {
  const reader = new MessageReader(options)
  for (const chunk of chunks) yield* reader.push(chunk)
  yield* reader.end()
  if (reader.failure !== undefined) throw reader.failure
}

const said = (message: Message | RecordLines | undefined): readonly unknown[] => {
  assert.ok(message?.type === 'RECORD')
  const { stream, line, version, timeExtracted } = message
  return [stream, line, version, timeExtracted, message.bytes().toString()]
}

describe('records read with the scanner', () => {
  it('keep every number as its digits say', () => {
    let opened = 0
    fc.assert(
      fc.property(lines, cuts, (drawn, cut) => {
        const expected = linesOf(drawn)
        const text = `${expected.map((line) => line.text).join('\n')}\n`
        const got = [...read(chunksOf(text, cut), { open: true })].filter((m) => m.type === 'RECORD')
        assert.equal(got.length, expected.length)
        got.forEach((message, i) => {
          assert.equal(encodeJson(message.record), encodeJson(parseExact((expected[i] as Line).record)))
          assert.equal(message.line, i + 1)
          opened++
        })
      }),
      { numRuns: 200 },
    )
    assert.ok(opened > 3_000)
  })

  it('are gathered in their order, with their bytes, lines, and the hashes that each has alone', () => {
    let gathered = 0
    fc.assert(
      fc.property(lines, cuts, (drawn, cut) => {
        const expected = linesOf(drawn)
        const text = `${expected.map((line) => line.text).join('\n')}\n`
        let at = 0
        for (const item of read(chunksOf(text, cut), { gather: 'hashed' })) {
          const records =
            item instanceof RecordLines ? [...item.records()] : item.type === 'RECORD' ? [item] : assert.fail(item.type)
          const digest = new Digest()
          for (const record of records) {
            const line = expected[at++] as Line
            assert.equal(record.stream, line.stream)
            assert.equal(record.line, at)
            assert.equal(record.bytes().toString(), line.record)
            digest.add(record.buffer, record.from, record.to)
          }
          if (!(item instanceof RecordLines)) continue
          gathered += item.count
          assert.equal(item.count, records.length)
          assert.equal(
            item.size,
            records.reduce((n, record) => n + record.size, 0),
          )
          const sums = new Digest()
          sums.addSums(item.hashHigh, item.hashLow)
          assert.equal(sums.toString(), digest.toString())
        }
        assert.equal(at, expected.length)
      }),
      { numRuns: 200 },
    )
    assert.ok(gathered > 1_000, `${gathered} gathered`)
  })

  it('bring the lines that they came in, with what those say of a version and a time, where that is asked for', () => {
    let gathered = 0
    fc.assert(
      fc.property(lines, cuts, (drawn, cut) => {
        const expected = linesOf(drawn).map((line) => `${line.text}\n`)
        const text = expected.join('')
        const one = [...read([Buffer.from(text)], {})]
        let at = 0
        for (const item of read(chunksOf(text, cut), { gather: 'plain', whole: true })) {
          const records = item instanceof RecordLines ? [...item.records()] : [item]
          if (item instanceof RecordLines) {
            gathered += item.count
            assert.equal(item.whole?.bytes.toString(), expected.slice(at, at + item.count).join(''))
          }
          for (const message of records) assert.deepEqual(said(message), said(one[at++]))
        }
        assert.equal(at, expected.length)
      }),
      { numRuns: 200 },
    )
    assert.ok(gathered > 1_000, `${gathered} gathered`)
  })

  it('are not gathered with their lines where Singer would write those another way', () => {
    const gathered = (before: string, options: ReaderOptions): number => {
      const text = `{"type":"RECORD","stream":"a",${before}"record":{"id":1}}\n`.repeat(50)
      return [...read([Buffer.from(text)], options)].filter((item) => item instanceof RecordLines).length
    }
    assert.equal(gathered('"version":1,', { gather: 'plain', whole: true }), 1)
    assert.equal(gathered('"key_fields":null,', { gather: 'plain' }), 1)
    for (const old of ['"key_fields":null,', '"key_fields":["id"],', '"schema":{"properties":{}},'])
      assert.equal(gathered(old, { gather: 'plain', whole: true }), 0, old)
  })

  it('are not gathered where their line does not end as it should', () => {
    const good = '{"type":"RECORD","stream":"a","record":{"id":1},"time_extracted":"2026-01-01T00:00:00Z"}'
    const odd = [
      '{"type":"RECORD","stream":"a","record":{"id":1},"time_extracted":"2026-01-01"T00:00:00Z"}',
      '{"type":"RECORD","stream":"a","record":{"id":1},"time_extracted":"2026-01-01T00:00:00Z"',
      '{"type":"RECORD","stream":"a","record":{"id":1}x}',
      '{"type":"RECORD","stream":"a","record":{"id":1}}}',
    ]
    for (const bad of odd) {
      const text = `${good}\n`.repeat(40)
      const reader = new MessageReader({ gather: 'plain' })
      const got = reader.push(Buffer.from(`${text}${bad}\n${text}`)) as readonly (Message | RecordLines)[]
      assert.equal(reader.failure?.code, 'MESSAGE_NOT_JSON', bad)
      assert.equal(reader.failure.details['line'], 41)
      assert.equal(
        got.reduce((n, item) => n + (item instanceof RecordLines ? item.count : 1), 0),
        40,
      )
    }
  })
})
