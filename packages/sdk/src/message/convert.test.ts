import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { LogFields } from '../log/logger.ts'
import { silentLogger } from '../log/logger.ts'
import { type ConvertReport, convert } from './convert.ts'
import { MessageReader } from './reader.ts'
import { RecordMessage } from './record.ts'
import { MessageWriter, type WireFormat, wireFormats } from './writer.ts'

interface Converted {
  readonly text: string
  readonly report: ConvertReport
  readonly chunks: number
}

const convertText = async (
  text: string,
  to: WireFormat,
  more: Partial<Parameters<typeof convert>[0]> = {},
  chunkBytes = 65_536,
): Promise<Converted> => {
  const bytes = Buffer.from(text)
  const input = async function* () {
    for (let i = 0; i < bytes.length; i += chunkBytes) yield bytes.subarray(i, i + chunkBytes)
  }
  const out: Buffer[] = []
  const report = await convert({ input: input(), to, write: (chunk) => void out.push(Buffer.from(chunk)), ...more })
  return { text: Buffer.concat(out).toString(), report, chunks: out.length }
}

/** What the messages of a text say, without lines; records as their bytes. */
const say = (text: string): unknown[] => {
  const reader = new MessageReader()
  const messages = [...reader.push(Buffer.from(text)), ...reader.end()]
  assert.equal(reader.failure, undefined)
  return messages.map((m) =>
    m instanceof RecordMessage ? [m.stream, m.record, m.version, m.timeExtracted] : { ...m, line: 0 },
  )
}

const singer = `{"type":"SCHEMA","stream":"orders","schema":{"type":"object","properties":{"id":{"type":"integer"},"at":{"type":"string","format":"date-time"}}},"key_properties":["id"],"bookmark_properties":["at"]}
{"type":"RECORD","stream":"orders","record":{"id":12345678901234567890,"at":"2016-07-13T18:45:57.000Z","d":0.1234567890123456789},"time_extracted":"2026-01-01T00:00:00.000000Z"}
{"type": "RECORD", "stream": "orders", "record": {"id": 2, "at": "2016-07-13T18:45:57Z", "é": "😀\\u0000"}, "version": 7}
{"type":"NEWS","of":{"2030":1.0}}
{"type":"ACTIVATE_VERSION","stream":"orders","version":7}
{"type":"RECORD","stream":"free","record":{"~a":"^b","n":null}}
{"type":"STATE","value":{"at":1e400}}
`

describe('convert Singer to Singer', () => {
  it('passes every line on as the bytes it came as, in one piece', async () => {
    const { text, report, chunks } = await convertText(singer.replace(/.*NEWS.*\n/, ''), 'singer')
    assert.equal(text, singer.replace(/.*NEWS.*\n/, ''))
    assert.equal(chunks, 1)
    assert.deepEqual(report, { messages: 6, records: 3 })
  })

  it('gives the same for chunks of any size, without a last newline too', async () => {
    for (const input of [singer, singer.trimEnd()])
      for (let size = 1; size < 200; size += 7)
        assert.equal((await convertText(input, 'singer', {}, size)).text, singer, `chunks of ${size}`)
  })

  it('drops a BOM and blank lines, and says in Singer what was said in 0.1', async () => {
    const { text } = await convertText(
      `\ufeff\n${singer}\n\r\n{"type":"BOOKMARK","value":1.50}\n{"type":"state","value":2}\n`,
      'singer',
    )
    assert.equal(text, `${singer}{"type":"STATE","value":1.50}\n{"type":"STATE","value":2}\n`)
  })

  it('warns once of each type that it does not know', async () => {
    const warned: (LogFields | undefined)[] = []
    const log = { ...silentLogger, warn: (_: string, fields?: LogFields) => void warned.push(fields) }
    const news = '{"type":"NEWS"}\n{"type":"LOG"}\n'
    assert.equal((await convertText(news + news, 'singer', { log })).text, news + news)
    assert.deepEqual(warned, [
      { type: 'NEWS', line: 1 },
      { type: 'LOG', line: 2 },
    ])
  })

  it('stops at a bad line with its number; everything before it was written', async () => {
    for (const bad of ['oops', '{"type":"RECORD","stream":"orders","record":{"id":1}', '{"type":"RECORD"}'])
      for (const to of wireFormats) {
        const out: Buffer[] = []
        const input = async function* () {
          yield Buffer.from(`${singer}${bad}\n${singer}`)
        }
        await assert.rejects(
          convert({ input: input(), to, source: 'in.jsonl', write: (c) => void out.push(Buffer.from(c)) }),
          /^MillraceError: in\.jsonl line 8: /,
        )
        assert.equal(Buffer.concat(out).toString(), (await convertText(singer, to)).text)
      }
  })

  it('reads nothing more before the writer has taken what it was given', async () => {
    let waiting = 0
    let most = 0
    const input = async function* () {
      for (let i = 0; i < 50; i++) {
        assert.equal(waiting, 0)
        yield Buffer.from(singer)
      }
    }
    const write = async (): Promise<void> => {
      most = Math.max(most, ++waiting)
      await new Promise((resolve) => setImmediate(resolve))
      waiting--
    }
    await convert({ input: input(), to: '0.1-jsonline', write })
    assert.equal(most, 1)
  })

  it('takes no more memory for a long input than for a short one', async () => {
    const chunk = Buffer.from(singer.replace(/.*NEWS.*\n/, '').repeat(100))
    const peak = async (chunks: number): Promise<number> => {
      let most = 0
      let count = 0
      const input = async function* () {
        for (let i = 0; i < chunks; i++) yield Buffer.from(chunk)
      }
      const write = (): void => {
        if (count++ % 50 === 0) most = Math.max(most, process.memoryUsage().rss)
      }
      for (const to of ['singer', '0.1-jsonline'] as const) await convert({ input: input(), to, write })
      return most
    }
    const short = await peak(50)
    const long = await peak(300)
    assert.ok(long - short < 64 * 1024 * 1024, `${Math.round((long - short) / 1024 / 1024)} MiB more`)
  })

  it('a writer that fails stops it', async () => {
    await assert.rejects(
      convertText(singer, 'singer', { write: () => Promise.reject(new Error('pipe closed')) }),
      /pipe closed/,
    )
  })
})

describe('convert to 0.1 and back', () => {
  it('jsonline: header, flagged keys, key_fields, BOOKMARK', async () => {
    const { text } = await convertText(singer, '0.1-jsonline')
    assert.deepEqual(text.split('\n').slice(0, 6), [
      'stitchstream/0.1',
      'Content-Type: jsonline',
      '--',
      '{"type":"SCHEMA","stream":"orders","schema":{"type":"object","properties":{"id":{"type":"integer","key":true},"at":{"type":"string","format":"date-time"}}},"key_properties":["id"],"bookmark_properties":["at"]}',
      '{"type":"RECORD","stream":"orders","key_fields":["id"],"record":{"id":12345678901234567890,"at":"2016-07-13T18:45:57.000Z","d":0.1234567890123456789},"time_extracted":"2026-01-01T00:00:00.000000Z"}',
      '{"type":"RECORD","stream":"orders","key_fields":["id"],"record":{"id": 2, "at": "2016-07-13T18:45:57Z", "é": "😀\\u0000"},"version":7}',
    ])
    assert.match(text, /\{"type":"BOOKMARK","value":\{"at":1e400\}\}\n$/)
  })

  it('transit: one element a line, times of the schema as instants', async () => {
    const { text } = await convertText(singer, '0.1-transit')
    const lines = text.split('\n')
    assert.equal(lines[1], 'Content-Type: transit')
    assert.equal(
      lines[4],
      '["^ ","type","RECORD","stream","orders","key_fields",["id"],"record",["^ ","id","~n12345678901234567890","at","~m1468435557000","d","~f0.1234567890123456789"],"time_extracted","2026-01-01T00:00:00.000000Z"]',
    )
  })

  it('from transit to transit, values of records stay what they were', async () => {
    // Without a schema an instant became a text.
    const head = 'stitchstream/0.1\nContent-Type: transit\n--\n'
    const values = '["^ ","at","~m1468435557000","like","2016-07-13T18:45:57.000Z","tags",["~#set",["~:new"]]]'
    const line = `["^ ","type","RECORD","stream","a","key_fields",["id"],"record",${values}]\n`
    const { text } = await convertText(head + line, '0.1-transit')
    assert.equal(text, head + line)
  })

  it('there and back, all say the same, digit for digit', async () => {
    const schemaless = say(singer).filter((m) => Array.isArray(m) || (m as { type: string }).type !== 'SCHEMA')
    for (const to of ['0.1-jsonline', '0.1-transit'] as const) {
      const old = (await convertText(singer, to)).text
      const back = say((await convertText(old, 'singer')).text)
      const withoutSchemas = back.filter((m) => Array.isArray(m) || (m as { type: string }).type !== 'SCHEMA')
      const number = (v: unknown): unknown =>
        JSON.parse(
          JSON.stringify(v, (_, x) => (typeof x === 'bigint' ? `${x}n` : x)).replaceAll(
            '"text":"{\\"type\\":\\"NEWS\\",\\"of\\":{\\"2030\\":1.0}}"',
            '"text":"{\\"type\\":\\"NEWS\\",\\"of\\":{\\"2030\\":1}}"',
          ),
        )
      assert.deepEqual(withoutSchemas.map(number), schemaless.map(number), to)
      const schema = back[0] as { keyProperties: string[]; bookmarkProperties: string[] }
      assert.deepEqual([schema.keyProperties, schema.bookmarkProperties], [['id'], ['at']])
      for (const again of ['0.1-jsonline', '0.1-transit'] as const)
        assert.deepEqual(
          say((await convertText(old, again)).text).map(number),
          say((await convertText(singer, again)).text).map(number),
          `${to}, then ${again}`,
        )
    }
  })

  it('nothing in, nothing out: no header either', async () => {
    for (const to of wireFormats)
      assert.deepEqual(await convertText('', to), { text: '', report: { messages: 0, records: 0 }, chunks: 0 })
  })

  it('records that bring only their keys get a SCHEMA, made from them and widened', async () => {
    const head = 'stitchstream/0.1\nContent-Type: jsonline\n--\n'
    const line = (record: string): string => `{"type":"RECORD","stream":"a","key_fields":["id"],"record":${record}}\n`
    const { text } = await convertText(head + line('{"id":1}') + line('{"id":2,"n":"x"}'), 'singer')
    assert.equal(
      text,
      '{"type":"SCHEMA","stream":"a","schema":{"type":"object","properties":{"id":{"type":"integer"},"n":{"type":"string"}}},"key_properties":["id"]}\n{"type":"RECORD","stream":"a","record":{"id":1}}\n{"type":"RECORD","stream":"a","record":{"id":2,"n":"x"}}\n',
    )
    const input = async function* () {
      yield Buffer.from(head + line('{"id":1}'))
      yield Buffer.from(line('{"id":2}'))
      yield Buffer.from(line('{"id":2.5}'))
      yield Buffer.from(line('{"id":oops}'))
    }
    const out: string[] = []
    await assert.rejects(
      convert({ input: input(), to: 'singer', write: (c) => void out.push(Buffer.from(c).toString()) }),
      { code: 'MESSAGE_NOT_JSON', message: /^line 7: / },
    )
    const said = say(out.join(''))
    assert.deepEqual(
      said.map((m) => (Array.isArray(m) ? m[1] : (m as { schema: { properties: unknown } }).schema.properties)),
      [{ id: { type: 'integer' } }, { id: 1 }, { id: 2 }, { id: { type: 'number' } }, { id: 2.5 }],
    )
  })

  it('the records of a BATCH are written into 0.1, which has no BATCH', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'millrace-convert-'))
    try {
      const file = join(folder, 'a.jsonl')
      await writeFile(file, '{"id":1}\n{"id":2}\n')
      const batch = `{"type":"BATCH","stream":"a","encoding":{"format":"jsonl"},"manifest":[${JSON.stringify(file)}]}\n`
      assert.equal((await convertText(batch, 'singer')).text, batch)
      const { text, report } = await convertText(batch, '0.1-jsonline')
      assert.equal(text.split('\n')[4], '{"type":"RECORD","stream":"a","key_fields":[],"record":{"id":2}}')
      assert.equal(report.records, 2)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('the writer', () => {
  it('hands out buffers that stay as they are', () => {
    const writer = new MessageWriter()
    writer.add(
      RecordMessage.of('a', { id: 1n, t: 'ü'.repeat(50_000) }, { version: 3, timeExtracted: '2026-01-01T00:00:00Z' }),
    )
    const first = writer.take()
    const copy = Buffer.from(first)
    for (let i = 0; i < 5000; i++) writer.add(RecordMessage.of('b', { i }))
    assert.deepEqual(first, copy)
    assert.equal(
      first.toString(),
      `{"type":"RECORD","stream":"a","record":{"id":1,"t":"${'ü'.repeat(50_000)}"},"version":3,"time_extracted":"2026-01-01T00:00:00Z"}\n`,
    )
    assert.equal(say(writer.take().toString()).length, 5000)
    assert.equal(writer.pending, 0)
  })

  it('refuses a record too deep for transit, and keeps what came before', () => {
    const writer = new MessageWriter('0.1-transit')
    writer.add({ type: 'STATE', text: '1', line: 1 })
    const deep = `${'{"a":'.repeat(1000)}1${'}'.repeat(1000)}`
    const buffer = Buffer.from(deep)
    assert.throws(() => writer.add(new RecordMessage('a', 2, { buffer, from: 0, to: buffer.length })), {
      code: 'MESSAGE_TOO_DEEP',
    })
    assert.match(writer.take().toString(), /"BOOKMARK","value",1\]\n$/)
  })

  it('throws the error of a line that could not be read', () => {
    const error = new Error('why')
    assert.throws(() => new MessageWriter().add({ type: 'UNREADABLE', text: '', error, line: 1 }), error)
  })
})
