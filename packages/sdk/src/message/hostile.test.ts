import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ErrorCode } from '../errors/table.ts'
import { mayHaveLongNumber } from './bytes.ts'
import { MillraceError } from '../errors/error.ts'
import { MessageReader, type ReaderOptions } from './reader.ts'
import { RecordMessage } from './record.ts'
import type { Message } from './types.ts'

const seed = Number(process.env['SEED'] ?? 20261121)
/** A small generator with a seed (mulberry32): whole numbers below n. */
const randomOf = (from: number): ((n: number) => number) => {
  let a = from
  return (n) => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n)
  }
}

const readChunks = (
  bytes: Buffer,
  options: ReaderOptions,
  size: () => number,
): { messages: Message[]; failure: MillraceError | undefined } => {
  const reader = new MessageReader(options)
  const messages: Message[] = []
  for (let i = 0; i < bytes.length; ) {
    const n = size()
    messages.push(...reader.push(bytes.subarray(i, i + n)))
    i += n
  }
  messages.push(...reader.end())
  return { messages, failure: reader.failure }
}
const readAll = (
  text: string | Buffer,
  options: ReaderOptions = {},
): { messages: Message[]; failure: MillraceError | undefined } => readChunks(Buffer.from(text), options, () => 65_536)

const ok = '{"type":"RECORD","stream":"a","record":{"id":1}}\n'
const inRecord = (record: string): string => `{"type":"RECORD","stream":"a","record":${record}}`
const nested = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`

describe('a bad line', () => {
  const cases: readonly (readonly [string, string | Buffer, ErrorCode, RegExp])[] = [
    [
      'is no JSON',
      'Traceback (most recent call last):',
      'MESSAGE_NOT_JSON',
      /^in line 3: not a JSON message \(unexpected text/,
    ],
    ['is an array', '[1]', 'MESSAGE_NOT_JSON', /a message is a JSON object, this is an array/],
    ['is null', 'null', 'MESSAGE_NOT_JSON', /this is null/],
    ['is a number', '12', 'MESSAGE_NOT_JSON', /this is a number/],
    ['is a header out of place', 'stitchstream/0.1', 'MESSAGE_NOT_JSON', /line 3/],
    ['is two objects', '{"type":"STATE","value":1}{"type":"STATE","value":2}', 'MESSAGE_NOT_JSON', /line 3/],
    ['ends too early', inRecord('{"a":1'), 'MESSAGE_NOT_JSON', /ends in the middle|unexpected text/],
    ['has a brace too many', `${inRecord('{"a":1}')}}`, 'MESSAGE_NOT_JSON', /line 3/],
    ['has an open string', inRecord('{"a":"x}'), 'MESSAGE_NOT_JSON', /line 3/],
    ['has a trailing comma', '{"type":"STATE","value":1,}', 'MESSAGE_NOT_JSON', /line 3/],
    ['has NaN', '{"type":"STATE","value":NaN}', 'MESSAGE_NOT_JSON', /line 3/],
    ['has a raw control character', '{"type":"STATE","value":"a\u0001"}', 'MESSAGE_NOT_JSON', /line 3/],
    ['has a raw NUL', '{"type":"STATE","value":"a\u0000"}', 'MESSAGE_NOT_JSON', /line 3/],
    [
      'is not UTF-8',
      Buffer.from([...Buffer.from('{"type":"STATE","value":"'), 0xc3, 0x28, ...Buffer.from('"}')]),
      'MESSAGE_NOT_UTF8',
      /line 3: not valid UTF-8/,
    ],
    [
      'has half a surrogate in bytes',
      Buffer.from([...Buffer.from('{"type":"STATE","value":"'), 0xed, 0xa0, 0x80, ...Buffer.from('"}')]),
      'MESSAGE_NOT_UTF8',
      /line 3/,
    ],
    ['is Latin-1', Buffer.from('{"type":"STATE","value":"é"}', 'latin1'), 'MESSAGE_NOT_UTF8', /line 3/],
    ['has 1,001 levels', inRecord(nested(1001)), 'MESSAGE_TOO_DEEP', /line 3: nested deeper than 1000/],
    ['has 10,000 levels', inRecord(nested(10_000)), 'MESSAGE_TOO_DEEP', /line 3/],
    [
      'has 10,000 levels in a schema',
      `{"type":"SCHEMA","stream":"a","schema":${nested(10_000)}}`,
      'MESSAGE_TOO_DEEP',
      /line 3/,
    ],
    ['has 100,000 arrays', '['.repeat(100_000), 'MESSAGE_NOT_JSON', /line 3/],
    [
      'is longer than the limit',
      inRecord(`{"a":"${'x'.repeat(200_000)}"}`),
      'MESSAGE_TOO_LONG',
      /line 3: longer than the limit of 150000 bytes/,
    ],
    [
      'has a control character in a key',
      '{"type":"RECORD","stream":"a","x\u0001y":1,"record":{}}',
      'MESSAGE_NOT_JSON',
      /line 3/,
    ],
    [
      'has a key twice, the first time with nonsense',
      '{"type":"RECORD","stream":"a","record":nullish,"record":{}}',
      'MESSAGE_NOT_JSON',
      /line 3/,
    ],
    ['has no type', '{"stream":"a"}', 'MESSAGE_MALFORMED', /line 3: a message has no "type"/],
    ['has a type that is a number', '{"type":1}', 'MESSAGE_MALFORMED', /has no "type"/],
    [
      'is a RECORD without a stream',
      '{"type":"RECORD","record":{}}',
      'MESSAGE_MALFORMED',
      /RECORD message needs a "stream"/,
    ],
    [
      'is a RECORD without a record',
      '{"type":"RECORD","stream":"a"}',
      'MESSAGE_MALFORMED',
      /needs a "record" that is an object/,
    ],
    ['is a RECORD of an array', inRecord('[1]'), 'MESSAGE_MALFORMED', /needs a "record" that is an object/],
    ['is a RECORD of null', inRecord('null'), 'MESSAGE_MALFORMED', /needs a "record" that is an object/],
    [
      'is a SCHEMA without a schema',
      '{"type":"SCHEMA","stream":"a"}',
      'MESSAGE_MALFORMED',
      /SCHEMA message needs a "schema"/,
    ],
    [
      'is a SCHEMA with a key that is a number',
      '{"type":"SCHEMA","stream":"a","schema":{},"key_properties":[1]}',
      'MESSAGE_MALFORMED',
      /"key_properties"/,
    ],
    ['is a STATE without a value', '{"type":"STATE"}', 'MESSAGE_MALFORMED', /STATE message has no "value"/],
    [
      'is an ACTIVATE_VERSION of text',
      '{"type":"ACTIVATE_VERSION","stream":"a","version":"1"}',
      'MESSAGE_MALFORMED',
      /integer "version"/,
    ],
    [
      'is an ACTIVATE_VERSION of more than 64 bits',
      '{"type":"ACTIVATE_VERSION","stream":"a","version":9223372036854775808}',
      'MESSAGE_MALFORMED',
      /"version" of more than 64 bits/,
    ],
    [
      'is a RECORD with a version of more than 64 bits',
      '{"type":"RECORD","stream":"a","record":{},"version":9223372036854775808}',
      'MESSAGE_MALFORMED',
      /"version" of more than 64 bits/,
    ],
    [
      'is a BATCH without a manifest',
      '{"type":"BATCH","stream":"a","encoding":{"format":"jsonl"}}',
      'MESSAGE_MALFORMED',
      /"manifest"/,
    ],
  ]
  for (const [name, bad, code, why] of cases)
    it(`that ${name}: told, and everything before it is delivered`, () => {
      // Long blocks of lines are scanned, short ones read one by one.
      for (const [open, more] of [
        [false, 1],
        [true, 1],
        [false, 60],
      ] as const) {
        const bytes = Buffer.concat([Buffer.from(ok + ok), Buffer.from(bad), Buffer.from(`\n${ok.repeat(more)}`)])
        const { messages, failure } = readAll(bytes, { open, source: 'in', maxLineBytes: 150_000 })
        assert.equal(failure?.code, code)
        assert.match(failure.message, why)
        assert.equal(failure.details['line'], 3)
        assert.equal(failure.details['source'], 'in')
        assert.equal(messages.length, 2)
        const handed = readAll(bytes, { open, onUnreadable: 'hand-over', maxLineBytes: 150_000 })
        assert.equal(handed.failure, undefined)
        assert.deepEqual(
          handed.messages.slice(0, 4).map((m) => [m.type, m.line]),
          [
            ['RECORD', 1],
            ['RECORD', 2],
            ['UNREADABLE', 3],
            ['RECORD', 4],
          ],
        )
      }
    })

  it('that is a STATE of more than 1 MB is refused', () => {
    const { messages, failure } = readAll(`${ok}{"type":"STATE","value":"${'x'.repeat(1_000_000)}"}\n`)
    assert.equal(failure?.code, 'STATE_TOO_LARGE')
    assert.equal(failure.details['line'], 2)
    assert.equal(messages.length, 1)
  })

  it('whose fault is inside the record is told when the record is opened', () => {
    const bytes = `${ok}${inRecord('{"a":tru}')}\n${ok}`
    const open = readAll(bytes, { open: true })
    assert.equal(open.failure?.code, 'MESSAGE_NOT_JSON')
    assert.equal(open.failure.details['line'], 2)
    const { messages, failure } = readAll(bytes)
    assert.equal(failure, undefined)
    assert.throws(() => (messages[1] as RecordMessage).record, { code: 'MESSAGE_NOT_JSON', message: /^line 2: / })
    assert.throws(() => (messages[1] as RecordMessage).plain, { code: 'MESSAGE_NOT_JSON' })
  })

  it('never shows its text', () => {
    const { failure } = readAll('{"type":"STATE","value":"my-secret" my-secret}\n')
    assert.ok(failure !== undefined && !failure.message.includes('my-secret'))
  })

  it('longer than the limit is found before its end arrives', () => {
    const reader = new MessageReader({ maxLineBytes: 1000 })
    reader.push(Buffer.from(ok))
    reader.push(Buffer.alloc(600, 120))
    assert.ok(reader.failure === undefined)
    reader.push(Buffer.alloc(600, 120))
    const failure = reader.failure as MillraceError | undefined
    assert.equal(failure?.message, 'line 2: longer than the limit of 1000 bytes')
    assert.deepEqual(reader.push(Buffer.from(ok)), [])
  })
})

describe('the last line', () => {
  it('may lack its newline', () => {
    const { messages, failure } = readAll(ok + ok.trimEnd())
    assert.equal(failure, undefined)
    assert.equal(messages.length, 2)
  })

  it('cut off anywhere is no message, but MESSAGE_INCOMPLETE', () => {
    for (const whole of [
      '{"type":"RECORD","stream":"a","record":{"é":"ü"},"time_extracted":"2026-01-01T00:00:00Z"}',
      '{"type":"STATE","value":{"a":12}}',
      '{"type":"X","é":[1]}',
    ]) {
      const bytes = Buffer.from(whole)
      for (let cut = 1; cut < bytes.length; cut++)
        for (const open of [false, true]) {
          const { messages, failure } = readAll(
            Buffer.concat([Buffer.from(`${ok}${whole}\n`), bytes.subarray(0, cut)]),
            { open },
          )
          assert.equal(failure?.code, 'MESSAGE_INCOMPLETE', `${cut} of ${whole}`)
          assert.match(failure.message, new RegExp(`line 3: the last line ends in the middle \\(${cut} bytes`))
          assert.equal(messages.length, 2)
        }
    }
  })

  it('of transit cut off is MESSAGE_INCOMPLETE too', () => {
    const { messages, failure } = readAll('["^ ","type","STATE","value",1]\n["^ ","type","STA')
    assert.equal(failure?.code, 'MESSAGE_INCOMPLETE')
    assert.equal(messages.length, 1)
  })
})

describe('odd but legal', () => {
  const recordOf = (json: string): { record: Record<string, unknown>; bytes: string } => {
    let last: { record: Record<string, unknown>; bytes: string } | undefined
    for (const open of [false, true]) {
      const { messages, failure } = readAll(`${ok}${inRecord(json)}\n`, { open })
      assert.equal(failure, undefined)
      const m = messages[1] as RecordMessage
      last = { record: m.record as Record<string, unknown>, bytes: m.bytes().toString() }
      assert.equal(last.bytes, json)
    }
    return last as { record: Record<string, unknown>; bytes: string }
  }

  it('duplicate keys: the last one counts, the bytes keep both', () => {
    assert.deepEqual(recordOf('{"a":1,"a":2}').record, { a: 2 })
    const { messages } = readAll(
      '{"type":"STATE","type":"RECORD","stream":"a","stream":"b","record":{"x":1},"record":{"x":2}}\n',
    )
    const [m] = messages as RecordMessage[]
    assert.deepEqual([m?.type, m?.stream, m?.record], ['RECORD', 'b', { x: 2 }])
  })

  it('__proto__ is a field like any other', () => {
    const { record } = recordOf('{"__proto__":{"polluted":12345678901234567890},"constructor":1}')
    assert.ok(Object.hasOwn(record, '__proto__'))
    assert.equal(Object.getPrototypeOf(record), Object.prototype)
    assert.equal(record['polluted'], undefined)
    readAll(
      '{"type":"RECORD","stream":"a","__proto__":{"polluted":1},"record":{}}\n{"type":"X","__proto__":{"polluted":1}}\n',
    )
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
  })

  it('a lone surrogate written as an escape stays one', () => {
    const { record } = recordOf('{"a":"x\\ud800y"}')
    assert.equal(record['a'], 'x\ud800y')
    assert.equal(RecordMessage.of('a', { a: 'x\ud800y' }).bytes().toString(), '{"a":"x\\ud800y"}')
  })

  it('NUL written as an escape is a character', () =>
    assert.equal(recordOf('{"a\\u0000":"x\\u0000y"}').record['a\0'], 'x\0y'))

  it('1,000 levels', () => assert.ok(recordOf(nested(1000)).record['a']))

  it('white space between the tokens, and before and behind the line', () => {
    const { messages, failure } = readAll(` \t{ "type" : "RECORD" , "stream" : "a" , "record" : { "id" : 1 } } \r\n`)
    assert.equal(failure, undefined)
    assert.deepEqual((messages[0] as RecordMessage).record, { id: 1 })
  })

  it('braces, quotes and time_extracted inside the texts of a record', () => {
    for (const json of [
      '{"a":"}},{\\"time_extracted\\":\\"x\\"}"}',
      '{"a":"\\\\"}',
      '{"a":{"time_extracted":"x"}}',
      '{"time_extracted":"2026"}',
      '{"a":"\\\\\\"}"}',
    ])
      assert.deepEqual(recordOf(json).record, JSON.parse(json))
  })

  it('a tail that only looks like the one before', () => {
    const tail = (s: string): string => `${ok.trimEnd().slice(0, -1)}${s}}\n`
    const { messages, failure } = readAll(
      tail(',"time_extracted":"2026-01-01"') +
        tail(',"time_extracted":"2026-01-01"') +
        tail(',"time_extracted":"a","xy":"b"') +
        tail(',"time_extracted":"a\\u0041"'),
    )
    assert.equal(failure, undefined)
    assert.deepEqual(
      messages.map((m) => (m as RecordMessage).timeExtracted),
      ['2026-01-01', '2026-01-01', 'a', 'aA'],
    )
  })

  it('time_extracted and version of another type say nothing', () => {
    for (const more of ['"time_extracted":5', '"time_extracted":null', '"version":"1"', '"version":1.5']) {
      const line = `{"type":"RECORD","stream":"a","record":{"id":1},${more}}\n`
      for (const text of [line + line, line + ok + line, line.replace(/,("record".*),("[tv].*)\}/, ',$2,$1}')]) {
        const { messages, failure } = readAll(text)
        assert.equal(failure, undefined)
        for (const m of messages as RecordMessage[])
          assert.deepEqual([m.record, m.version, m.timeExtracted], [{ id: 1 }, undefined, undefined], text)
      }
    }
  })

  it('a raw control character inside a record is told when the record is opened', () => {
    const text = `${ok}${inRecord('{"a":"\u0000\u0001"}')}\n`
    assert.equal(readAll(text, { open: true }).failure?.code, 'MESSAGE_NOT_JSON')
    const { messages, failure } = readAll(text)
    assert.equal(failure, undefined)
    assert.throws(() => (messages[1] as RecordMessage).record, { code: 'MESSAGE_NOT_JSON', message: /^line 2: / })
  })

  it('many members in a message', () => {
    const many = Array.from({ length: 5000 }, (_, i) => `"k${i}":${i}`).join(',')
    const { messages } = readAll(`{${many},"type":"RECORD","stream":"a","record":{"id":1}}\n`)
    assert.deepEqual((messages[0] as RecordMessage).record, { id: 1 })
  })
})

describe('5,000 mutations', () => {
  const lines = [
    '{"type":"SCHEMA","stream":"orders","schema":{"type":"object","properties":{"id":{"type":"integer"}}},"key_properties":["id"]}',
    '{"type":"RECORD","stream":"orders","record":{"id":1,"note":"ü \\"x\\" 漢字😀","amount":79868.42,"tags":["a",null,true]},"time_extracted":"2026-01-01T00:00:00.000000Z"}',
    '{"type":"RECORD","stream":"orders","record":{"id":2,"note":null,"address":{"zip":"59146","geo":1e-7}},"time_extracted":"2026-01-01T00:00:00.000000Z"}',
    '{"type": "RECORD", "stream": "orders", "record": {"id": 3}, "version": 12}',
    '{"type":"RECORD","key_fields":["sha"],"stream":"commits","record":{"sha":"7c2f"}}',
    '{"type":"RECORD","key_fields":["sha"],"stream":"commits","record":{"sha":"4f96"}}',
    '{"type":"ACTIVATE_VERSION","stream":"orders","version":12}',
    '{"type":"BATCH","stream":"orders","encoding":{"format":"jsonl"},"manifest":["file:///tmp/x"]}',
    '{"type":"STATE","value":{"bookmarks":{"orders":{"id":3}}}}',
  ]
  const bodies: readonly (readonly [string, string])[] = [
    ['singer', `${lines.join('\n')}\n${lines.join('\n')}\n`],
    ['0.1 jsonline', `stitchstream/0.1\nContent-Type: jsonline\n--\n${lines.join('\n')}\n`],
    [
      '0.1 transit',
      `stitchstream/0.1\nContent-Type: transit\n--\n${'["^ ","type","RECORD","record",["^ ","orgId",9999,"createdAt","~m1468435557000","tags",["~#set",["a"]],"kind","~:keyword","amount","~f1.10"],"stream","inboxes","key_fields",["orgId"]]\n'.repeat(3)}["^ ","type","BOOKMARK","value",["^ ","commits","2016-11-01T17:15:02Z"]]\n`,
    ],
  ]
  const tokens = [
    '"',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '\\',
    '\n',
    '\r\n',
    '\0',
    '\u00ff',
    '"type"',
    '"record":{',
    'null',
    '1e999',
    '-',
    '\\ud800',
    '[['.repeat(600),
    '"^0"',
    '"~#',
    '~m',
    '==RECORDS',
    '--\n',
  ]

  const mutate = (original: Buffer, r: (n: number) => number): { bytes: Buffer; first: number } => {
    let bytes = original
    let first = original.length
    for (let times = 1 + r(3); times > 0; times--) {
      const at = r(bytes.length + 1)
      const to = Math.min(bytes.length, at + r(40))
      first = Math.min(first, at)
      const insert = [
        () => Buffer.from([r(256)]),
        () => Buffer.from(tokens[r(tokens.length)] as string),
        () => Buffer.alloc(0),
        () => original.subarray(r(original.length), r(original.length)),
      ][r(4)] as () => Buffer
      const keepFrom = r(3) === 0 ? at : to
      bytes =
        r(12) === 0 ? bytes.subarray(0, at) : Buffer.concat([bytes.subarray(0, at), insert(), bytes.subarray(keepFrom)])
    }
    return { bytes, first }
  }
  const said = (m: Message): unknown =>
    m instanceof RecordMessage ? [m.line, m.stream, m.bytes().toString(), m.version, m.timeExtracted] : { ...m }

  for (const [name, text] of bodies)
    it(`of ${name}: a message or an error with its line, nothing before it lost (SEED=${seed})`, () => {
      const r = randomOf(seed)
      const original = Buffer.from(text)
      const expected = readAll(original)
      assert.equal(expected.failure, undefined)
      for (let i = 0; i < Math.ceil(5000 / bodies.length); i++) {
        const { bytes, first } = mutate(original, r)
        let intact = 1
        for (let at = original.indexOf(10); at >= 0 && at < first; at = original.indexOf(10, at + 1)) intact++
        const before = expected.messages.filter((m) => m.line < intact).map(said)
        const open = r(2) === 0
        // Long blocks of lines are scanned, short ones read one by one.
        const size = r(2) === 0 ? () => 1 + r(400) : () => 65_536
        const { messages, failure } = readChunks(bytes, { open }, size)
        const context = `seed ${seed}, mutation ${i}: ${JSON.stringify(bytes.toString('latin1').slice(0, 300))}`
        assert.deepEqual(messages.slice(0, before.length).map(said), before, context)
        if (failure !== undefined) {
          assert.ok(failure instanceof MillraceError, context)
          const line = failure.details['line']
          assert.ok(typeof line === 'number' && line >= intact && messages.every((m) => m.line <= line), context)
          assert.ok(!failure.message.includes('\n'), context)
        }
        for (const m of messages) {
          if (!(m instanceof RecordMessage)) continue
          let record: unknown
          try {
            record = m.plain
            assert.equal(typeof m.record, 'object')
          } catch (e) {
            assert.ok(e instanceof MillraceError && e.details['line'] === m.line, context)
            continue
          }
          if (name === '0.1 transit') continue
          // The plain way of reading: what it says, the fast way must say.
          const line = bytes.toString().split('\n')[m.line - 1] as string
          const naive = JSON.parse(line) as Record<string, unknown>
          assert.deepEqual(record, naive['record'], context)
          assert.equal(m.stream, naive['stream'], context)
          const { version, time_extracted: time } = naive
          assert.equal(m.version, Number.isSafeInteger(version) ? version : undefined, context)
          assert.equal(m.timeExtracted, typeof time === 'string' ? time : undefined, context)
        }
      }
    })
})

describe('mayHaveLongNumber', () => {
  it(`finds every number of sixteen digits or signs before its exponent, wherever it stands (SEED=${seed})`, () => {
    const r = randomOf(seed)
    const digits = (n: number): string => Array.from({ length: n }, () => '0123456789'[r(10)]).join('')
    for (let i = 0; i < 5000; i++) {
      const n = 16 + r(20)
      const number = [`1${digits(n - 1)}`, `-1${digits(n - 2)}`, `1.${digits(n - 2)}`, `1${digits(n)}e+30`][
        r(4)
      ] as string
      const pad = 'x'.repeat(r(40))
      const json = [`{"${pad}":${number}}`, `{"a":"${pad}","b":[1,${number},2]}`, `{"a":"${pad}","b": ${number} }`][
        r(3)
      ] as string
      const lead = r(20)
      const b = Buffer.from('9'.repeat(lead) + json + '9'.repeat(r(20)))
      assert.ok(mayHaveLongNumber(b, lead, lead + Buffer.byteLength(json)), json)
    }
  })

  it('is not troubled by long texts of digits, short numbers, or what stands outside', () => {
    for (const json of [
      '{"a":"12345678901234567890"}',
      '{"a":123456789012345}',
      '{"a":[1,2,3,4,5,6,7,8,9,10,11,12,13]}',
      '{"at":"2026-01-01T00:00:00.000000Z","id":"e2026-01-01-1e5"}',
    ]) {
      const b = Buffer.from(`,12345678901234567890,${json},12345678901234567890`)
      assert.equal(mayHaveLongNumber(b, 22, 22 + json.length), false, json)
    }
  })
})
