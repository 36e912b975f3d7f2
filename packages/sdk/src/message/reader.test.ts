import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Decimal, type JsonObject } from './json.ts'
import { MessageReader, type ReaderOptions, readMessages } from './reader.ts'
import { RecordMessage } from './record.ts'
import type { Message } from './types.ts'

const read = (
  text: string | Buffer,
  options: ReaderOptions = {},
  chunkBytes = 65_536,
): { messages: Message[]; reader: MessageReader } => {
  const bytes = Buffer.from(text)
  const reader = new MessageReader(options)
  const messages: Message[] = []
  for (let i = 0; i < bytes.length; i += chunkBytes) messages.push(...reader.push(bytes.subarray(i, i + chunkBytes)))
  messages.push(...reader.end())
  return { messages, reader }
}

/** What a message says, without its line and its place in a buffer. */
const plain = (m: Message): unknown => {
  if (m instanceof RecordMessage) {
    const { stream, record, version, timeExtracted } = m
    return {
      type: 'RECORD',
      stream,
      record,
      ...(version === undefined ? {} : { version }),
      ...(timeExtracted === undefined ? {} : { timeExtracted }),
    }
  }
  if (m.type === 'UNREADABLE') return { type: m.type, line: m.line }
  const { line: _, ...rest } = m
  return rest
}

/** Reads in both ways, which must agree, and without a failure. */
const good = (text: string | Buffer): unknown[] => {
  const closed = read(text)
  const open = read(text, { open: true })
  assert.equal(closed.reader.failure, undefined)
  assert.equal(open.reader.failure, undefined)
  const said = closed.messages.map(plain)
  assert.deepEqual(open.messages.map(plain), said)
  assert.deepEqual(
    closed.messages.map((m) => m.line),
    open.messages.map((m) => m.line),
  )
  // Blank lines make the block long enough to be scanned.
  if (said.length > 0) assert.deepEqual(read(`${text}${'\n'.repeat(2000)}`).messages.map(plain), said)
  return said
}

const header = (type: string): string => `stitchstream/0.1\nContent-Type: ${type}\n--\n`
const schema = (stream: string, keyProperties: readonly string[], more: JsonObject = {}, inferred?: true): unknown => ({
  type: 'SCHEMA',
  stream,
  schema: more,
  keyProperties,
  ...(inferred ? { inferred } : {}),
})

describe('generations, told apart unasked', () => {
  it('G1a: header, jsonline, key_fields', () => {
    const said = good(
      `${header('jsonline')}{"type": "RECORD", "key_fields": ["sha"], "stream": "commits", "record": {"author": {"id": 207186}, "sha": "7c2f"}}
{"type": "RECORD", "key_fields": ["sha"], "stream": "commits", "record": {"author": {"id": 207187}, "sha": "4f96"}}
{"type": "RECORD", "key_fields": ["sha", "id"], "stream": "commits", "record": {"sha": "55b7"}}
{"type": "BOOKMARK", "value": "2016-11-01T17:15:02Z"}
`,
    )
    assert.deepEqual(said, [
      schema('commits', ['sha'], {}, true),
      { type: 'RECORD', stream: 'commits', record: { author: { id: 207186 }, sha: '7c2f' } },
      { type: 'RECORD', stream: 'commits', record: { author: { id: 207187 }, sha: '4f96' } },
      schema('commits', ['sha', 'id'], {}, true),
      { type: 'RECORD', stream: 'commits', record: { sha: '55b7' } },
      { type: 'STATE', text: '"2016-11-01T17:15:02Z"' },
    ])
  })

  it('G1a: key_fields behind a SCHEMA keep that schema', () => {
    const line = '{"type":"RECORD","stream":"a","key_fields":["id"],"record":{"id":1}}\n'
    const said = good(
      `{"type":"SCHEMA","stream":"a","schema":{"properties":{"id":{"key":true}}}}\n${line}${line}${line.replace('["id"]', '["id","x"]')}${line}`,
    )
    const known = { properties: { id: { key: true } } }
    const record = { type: 'RECORD', stream: 'a', record: { id: 1 } }
    assert.deepEqual(said, [
      schema('a', ['id'], known),
      record,
      record,
      schema('a', ['id', 'x'], known),
      record,
      schema('a', ['id'], known),
      record,
    ])
  })

  it('G1a: header, transit', () => {
    const said = good(
      `${header('transit')}["^ ","type","RECORD","record",["^ ","orgId",9999,"name","Stitch Support","createdAt","~m1468435557000","openConversationCount",24],"stream","inboxes","key_fields",["orgId"]]
["^ ","type","RECORD","stream","inboxes","key_fields",["orgId"],"record",["^ ","orgId","~i9007199254740993","^0","x","^1","y"]]["^ ","type","BOOKMARK","value",["^ ","commits","2016-11-01T17:15:02Z"]]
`,
    )
    assert.deepEqual(said, [
      schema('inboxes', ['orgId'], {}, true),
      {
        type: 'RECORD',
        stream: 'inboxes',
        record: {
          orgId: 9999,
          name: 'Stitch Support',
          createdAt: '2016-07-13T18:45:57.000Z',
          openConversationCount: 24,
        },
      },
      { type: 'RECORD', stream: 'inboxes', record: { orgId: 9007199254740993n, type: 'x', stream: 'y' } },
      { type: 'STATE', text: '{"commits":"2016-11-01T17:15:02Z"}' },
    ])
  })

  it('transit without a header, and verbose under a header', () => {
    const expected = [{ type: 'STATE', text: '{"a":1}' }]
    assert.deepEqual(good('["^ ","type","BOOKMARK","value",["^ ","a",1]]\n'), expected)
    assert.deepEqual(good(`${header('transit')}{"type":"BOOKMARK","value":{"a":1}}\n`), expected)
  })

  it('G1b: a schema in each RECORD, keys flagged', () => {
    const line = (id: number): string =>
      `{"type":"RECORD","stream":"a","schema":{"properties":{"id":{"type":"integer","key":true},"b":{}}},"record":{"id":${id}}}\n`
    const inline = { properties: { id: { type: 'integer', key: true }, b: {} } }
    const record = (id: number): unknown => ({ type: 'RECORD', stream: 'a', record: { id } })
    assert.deepEqual(good(header('jsonline') + line(1) + line(2) + line(3) + line(4).replace('"b":{}', '"c":{}')), [
      schema('a', ['id'], inline),
      record(1),
      record(2),
      record(3),
      schema('a', ['id'], { properties: { id: { type: 'integer', key: true }, c: {} } }),
      record(4),
    ])
  })

  it('G1b: a prefix that was learned does not outlive a SCHEMA', () => {
    const line = '{"type":"RECORD","stream":"a","schema":{"title":"x"},"record":{}}\n'
    const said = good(`${line}${line}{"type":"SCHEMA","stream":"a","schema":{"title":"y"}}\n${line}${line}`)
    assert.deepEqual(
      said.map((m) => (m as { schema?: { title: string } }).schema?.title ?? '-'),
      ['x', '-', '-', 'y', 'x', '-', '-'],
    )
  })

  it('G1c and G2: SCHEMA with flagged keys; STATE, STRUCTURE, a stray record', () => {
    const said = good(
      `${header('jsonline')}{"type":"SCHEMA","stream":"users","schema":{"properties":{"id":{"type":"integer","key":true}}},"record":{}}
{"type":"RECORD","stream":"users","record":{"id":1}}
{"type":"STRUCTURE","structure":{"db":{"type":"database"}}}
{"type":"STATE","value":{"users":2}}
`,
    )
    assert.deepEqual(said, [
      schema('users', ['id'], { properties: { id: { type: 'integer', key: true } } }),
      { type: 'RECORD', stream: 'users', record: { id: 1 } },
      {
        type: 'OTHER',
        wireType: 'STRUCTURE',
        body: { type: 'STRUCTURE', structure: { db: { type: 'database' } } },
        text: '{"type":"STRUCTURE","structure":{"db":{"type":"database"}}}',
      },
      { type: 'STATE', text: '{"users":2}' },
    ])
  })

  it('Singer 0.3: keys, bookmarks, versions, times, in compact and spaced form', () => {
    const at = '2026-01-01T00:00:00.000000Z'
    const record = (id: number, more: JsonObject = {}): unknown => ({
      type: 'RECORD',
      stream: 'a',
      record: { id },
      ...more,
    })
    const said = good(
      `{"type":"SCHEMA","stream":"a","schema":{},"key_properties":["id"],"bookmark_properties":"at"}
{"type":"RECORD","stream":"a","record":{"id":1}}
{"type":"RECORD","stream":"a","record":{"id":2},"time_extracted":"${at}"}
{"type":"RECORD","stream":"a","record":{"id":3},"time_extracted":"${at}"}
{"type":"RECORD","stream":"a","record":{"id":4},"time_extracted":"2026-01-01T00:00:01Z"}
{"type": "RECORD", "stream": "a", "record": {"id": 5}, "time_extracted": "${at}"}
{"type": "RECORD", "stream": "a", "record": {"id": 6}, "time_extracted": "${at}"}
{"type": "RECORD", "stream": "a", "record": {"id": 7}}
{"type":"RECORD","stream":"a","version":17,"record":{"id":8}}
{"type":"RECORD","stream":"a","version":17,"record":{"id":9}}
{"type":"RECORD","stream":"a","record":{"id":10},"version":18}
{"type":"RECORD","stream":"a","record":{"id":11},"version":18}
{"type":"RECORD","stream":"a","record":{"id":12},"version":18,"time_extracted":"${at}"}
{"type":"RECORD","stream":"a","record":{"id":13},"version":18,"time_extracted":"${at}"}
{"time_extracted":"${at}","record":{"id":14},"stream":"a","type":"RECORD"}
{"type":"ACTIVATE_VERSION","stream":"a","version":18}
{"type":"RECORD","stream":"a","record":{"id":15},"version":1700000000000000001}
{"type":"RECORD","stream":"a","record":{"id":16},"version":1700000000000000001}
{"type":"ACTIVATE_VERSION","stream":"a","version":1700000000000000001}
`,
    )
    assert.deepEqual(said, [
      { type: 'SCHEMA', stream: 'a', schema: {}, keyProperties: ['id'], bookmarkProperties: ['at'] },
      record(1),
      record(2, { timeExtracted: at }),
      record(3, { timeExtracted: at }),
      record(4, { timeExtracted: '2026-01-01T00:00:01Z' }),
      record(5, { timeExtracted: at }),
      record(6, { timeExtracted: at }),
      record(7),
      record(8, { version: 17 }),
      record(9, { version: 17 }),
      record(10, { version: 18 }),
      record(11, { version: 18 }),
      record(12, { version: 18, timeExtracted: at }),
      record(13, { version: 18, timeExtracted: at }),
      record(14, { timeExtracted: at }),
      { type: 'ACTIVATE_VERSION', stream: 'a', version: 18 },
      record(15, { version: 1700000000000000001n }),
      record(16, { version: 1700000000000000001n }),
      { type: 'ACTIVATE_VERSION', stream: 'a', version: 1700000000000000001n },
    ])
  })

  it('SDK: BATCH with its encoding and manifest', () => {
    const [batch] = good(
      '{"type":"BATCH","stream":"u","encoding":{"format":"jsonl","compression":"gzip"},"manifest":["file:///a.gz"],"version":3}\n',
    )
    assert.deepEqual(batch, {
      type: 'BATCH',
      stream: 'u',
      format: 'jsonl',
      compression: 'gzip',
      manifest: ['file:///a.gz'],
      version: 3,
    })
  })

  it('hello world: "schema" that is a text is none, and types in lower case are types', () => {
    assert.deepEqual(
      good(
        '{"type":"record","stream":"hello","schema":"hello","record":{"value":"world"}}\n{"type":"state","value":0}\n{"type":"Schema","stream":"hello","schema":{}}\n',
      ),
      [
        { type: 'RECORD', stream: 'hello', record: { value: 'world' } },
        { type: 'STATE', text: '0' },
        schema('hello', []),
      ],
    )
  })

  it('members that are not known are passed over', () => {
    assert.deepEqual(
      good('{"type":"RECORD","x":{"record":1},"stream":"a","record":{"id":1},"y":[{}]}\n'.repeat(2)).length,
      2,
    )
  })

  it('header: case, unknown keys, white space, CRLF', () => {
    assert.deepEqual(
      good('StitchStream/0.2\r\nX: y\r\ncontent-type:  JSONLINE \r\n -- \r\n{"type":"STATE","value":1}\r\n'),
      [{ type: 'STATE', text: '1' }],
    )
  })

  it('an empty input is legal', () => {
    assert.deepEqual(good(''), [])
    assert.deepEqual(good('\n\n'), [])
  })

  const refused: readonly (readonly [string, string, RegExp])[] = [
    ['G0', '==RECORDS==for==commits\n{"sha":"a"}\n', /line 1: this is the block format of October 2016/],
    ['G0 bookmark', '==BOOKMARK==\n1\n', /line 1: this is the block format/],
    [
      'another version',
      'stitchstream/1.0\nContent-Type: jsonline\n--\n',
      /line 1: version stitchstream\/1.0 of the format/,
    ],
    [
      'another content type',
      'stitchstream/0.1\nContent-Type: msgpack\n--\n',
      /line 2: Unsupported content-type: msgpack/,
    ],
    ['no content type', 'stitchstream/0.1\n--\n', /line 2: the stitchstream header names no Content-Type/],
    [
      'a header that does not end',
      'stitchstream/0.1\nContent-Type: jsonline\n{"type":"STATE","value":1}\n',
      /line 3: .* no closing --/,
    ],
    ['a header that the end cuts off', 'stitchstream/0.1\nContent-Type: jsonline\n', /line 3: .* no closing --/],
  ]
  for (const [name, text, why] of refused)
    it(`refuses ${name}`, () => {
      for (const onUnreadable of ['stop', 'hand-over'] as const) {
        const { messages, reader } = read(text, { onUnreadable })
        assert.equal(reader.failure?.code, 'MESSAGE_UNSUPPORTED_FORMAT')
        assert.match(reader.failure.message, why)
        assert.deepEqual(messages, [])
      }
    })
})

describe('chunks', () => {
  const text = `\ufeff{"type":"SCHEMA","stream":"é😀","schema":{},"key_properties":[]}\r
{"type":"RECORD","stream":"é😀","record":{"a":"ü\\"}{[😀"}}
{"type":"RECORD","stream":"é😀","record":{"b":[{"c":"漢字"}]},"time_extracted":"2026-01-01T00:00:00Z"}

{"type":"STATE","value":{"é":1}}
{"type":"RECORD","stream":"é😀","record":{}}`
  const whole = good(text)

  it('end anywhere: every size, and every cut in two', () => {
    assert.equal(whole.length, 5)
    const bytes = Buffer.from(text)
    for (const open of [false, true]) {
      for (let size = 1; size <= bytes.length; size++) {
        const { messages, reader } = read(bytes, { open }, size)
        assert.equal(reader.failure, undefined)
        assert.deepEqual(messages.map(plain), whole, `chunks of ${size}`)
        assert.deepEqual(
          messages.map((m) => m.line),
          [1, 2, 3, 5, 6],
        )
      }
      for (let cut = 0; cut <= bytes.length; cut++) {
        const reader = new MessageReader({ open })
        const messages = [...reader.push(bytes.subarray(0, cut)), ...reader.push(bytes.subarray(cut)), ...reader.end()]
        assert.deepEqual(messages.map(plain), whole, `cut at ${cut}`)
      }
    }
  })

  it('readMessages hands out what was good, then throws', async () => {
    const input = async function* () {
      yield Buffer.from('{"type":"STATE","value":1}\n{"type":"STA')
      yield Buffer.from('TE","value":2}\nnonsense\n{"type":"STATE","value":3}\n')
    }
    const got: unknown[] = []
    await assert.rejects(
      async () => {
        for await (const messages of readMessages(input(), { source: 'in.jsonl' })) got.push(...messages.map(plain))
      },
      { code: 'MESSAGE_NOT_JSON', message: /^in\.jsonl line 3: not a JSON message/ },
    )
    assert.deepEqual(got, [
      { type: 'STATE', text: '1' },
      { type: 'STATE', text: '2' },
    ])
  })

  it('many substreams in turn, more than are remembered', () => {
    let lines = ''
    for (let i = 0; i < 2000; i++) lines += `{"type":"RECORD","stream":"s${i % 40}","record":{"i":${i}}}\n`
    const { messages, reader } = read(lines)
    assert.equal(reader.failure, undefined)
    for (const [i, m] of messages.entries()) {
      assert.ok(m instanceof RecordMessage)
      assert.deepEqual([m.stream, m.record, m.line], [`s${i % 40}`, { i }, i + 1])
    }
  })
})

describe('numbers, exact through record', () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', 9007199254740992n],
    ['9007199254740993', 9007199254740993n],
    ['-9007199254740993', -9007199254740993n],
    ['4611686018427388000', 4611686018427388000n],
    ['123456789012345678901234567890', 123456789012345678901234567890n],
    ['0.123456789012345678901234567890', new Decimal('0.123456789012345678901234567890')],
    ['1234567890.123456789', new Decimal('1234567890.123456789')],
    ['1e400', new Decimal('1e400')],
    ['-1e400', new Decimal('-1e400')],
    ['1e-400', new Decimal('1e-400')],
    ['1E-400', new Decimal('1E-400')],
    ['4.94e-324', new Decimal('4.94e-324')],
    ['1e300', 1e300],
    ['0.1', 0.1],
    ['1.0', 1],
    ['-0', -0],
    ['0', 0],
    ['0e5', 0],
    ['79868.42', 79868.42],
  ]
  for (const [source, value] of cases)
    it(source, () => {
      for (const make of [
        (n: string) => `{"n":${n}}`,
        (n: string) => `{"a":"x","n": ${n} ,"z":[${n}]}`,
        (n: string) => `{"deep":{"n":[[${n},${n}]]}, "t":"${'y'.repeat(20)}"}`,
      ])
        for (const open of [false, true]) {
          const [m] = read(`{"type":"RECORD","stream":"a","record":${make(source)}}\n`, { open }).messages
          assert.ok(m instanceof RecordMessage)
          const found: unknown[] = []
          const walk = (v: unknown): void => {
            if (typeof v === 'object' && v !== null && !(v instanceof Decimal)) Object.values(v).forEach(walk)
            else if (typeof v !== 'string') found.push(v)
          }
          walk(m.record)
          assert.ok(found.length >= 1)
          for (const n of found) assert.deepEqual(n, value)
          assert.equal(m.bytes().toString(), make(source))
        }
    })
})
