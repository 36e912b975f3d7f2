import assert from 'node:assert/strict'
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { Readable } from 'node:stream'
import { text as textOf } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import {
  type ConfigOf,
  createZstdFramesDecompress,
  type PersisterSession,
  RecordMessage,
  runPersister,
  type SchemaMessage,
  silentLogger,
} from '@millrace/sdk'
import type { fileSettings } from '../../file-output/settings.ts'
import { jsonl } from './index.ts'

const root = mkdtempSync(join(tmpdir(), 'jsonl-'))
after(() => rmSync(root, { recursive: true, force: true }))
const folder = (): string => mkdtempSync(join(root, 'f-'))

type Config = ConfigOf<typeof fileSettings>
const context = (
  path: string,
  more: Partial<Config> = {},
): { config: Config; log: typeof silentLogger; signal: AbortSignal } => ({
  config: { path, mode: 'append', compression: 'none', ...more },
  log: silentLogger,
  signal: new AbortController().signal,
})
const open = async (path: string, more: Partial<Config> = {}): Promise<PersisterSession> =>
  await jsonl.open(context(path, more))
const record = (text: string, stream = 's'): RecordMessage => {
  const buffer = Buffer.from(text)
  return new RecordMessage(stream, 1, { buffer, from: 0, to: buffer.length })
}
const records = (...texts: readonly string[]): readonly RecordMessage[] => texts.map((t) => record(t))
const schema = (stream: string): SchemaMessage => ({ type: 'SCHEMA', stream, schema: {}, keyProperties: [], line: 1 })
const read = (path: string, name = 's.jsonl'): string => readFileSync(join(path, name), 'utf8')
/** A session that wrote, flushed and ended well. */
const session = async (path: string, texts: readonly string[], more: Partial<Config> = {}): Promise<void> => {
  await using s = await open(path, more)
  await s.declare(schema('s'))
  await s.write('s', records(...texts))
  await s.flush()
  await s.finish?.()
}

const unzstd = async (bytes: Buffer): Promise<string> =>
  await textOf(Readable.from([bytes]).pipe(createZstdFramesDecompress()))

describe('jsonl', () => {
  it('keeps the bytes of records: digits, duplicate keys, escapes, spaces', async () => {
    const path = folder()
    const texts = [
      '{"n":1.50,"n":12345678901234567890.10, "s":"\\u00e9\\/" }',
      `{"big":"${'x'.repeat(3_000_000)}"}`,
      '{}',
    ]
    await session(path, texts)
    assert.equal(read(path), `${texts.join('\n')}\n`)
  })

  it('needs no SCHEMA and no settings but a folder', async () => {
    const path = join(folder(), 'made', 'on the way')
    const line = '{"type":"RECORD","stream":"hello","record":{"value":"world"}}\n'
    const input = (async function* () {
      yield Buffer.from(line)
    })()
    await runPersister(jsonl, { ...context(path), input, writeState: () => {} })
    assert.equal(read(path, 'hello.jsonl'), '{"value":"world"}\n')
  })

  it('what was not flushed does not count, and a flush without records makes no file', async () => {
    const path = folder()
    await session(path, ['{"a":1}'])
    {
      await using s = await open(path)
      await s.write('s', records('{"a":2}'))
      await s.write('other', records('{"a":2}'))
    }
    assert.equal(read(path), '{"a":1}\n')
    assert.equal(existsSync(join(path, 'other.jsonl')), false)
  })

  it('after a crash the next session cuts off what was not committed', async () => {
    const path = folder()
    await session(path, ['{"a":1}'])
    // As a process leaves it that died while it wrote: marked in the journal, and longer.
    const journal = join(path, '.millrace-commits.json')
    writeFileSync(journal, readFileSync(journal, 'utf8').replace('"writing": false', '"writing": true'))
    appendFileSync(join(path, 's.jsonl'), '{"a":2}\n{"a":')
    await session(path, ['{"a":3}'])
    assert.equal(read(path), '{"a":1}\n{"a":3}\n')
  })

  it('what somebody else appended is never cut, and no line of theirs is joined with ours', async () => {
    const path = folder()
    writeFileSync(join(path, 's.jsonl'), '{"theirs":1}')
    await session(path, ['{"a":1}'])
    appendFileSync(join(path, 's.jsonl'), '{"theirs":2}')
    await session(path, ['{"a":2}'])
    assert.equal(read(path), '{"theirs":1}\n{"a":1}\n{"theirs":2}\n{"a":2}\n')
  })

  it('replace begins anew what an unfinished run left, where no state was ever kept', async () => {
    const path = folder()
    const open = async (): Promise<PersisterSession> =>
      await jsonl.open({ ...context(path, { mode: 'replace' }), startsOver: true })
    const unfinished = await open()
    await unfinished.write('s', records('{"id":1}'))
    await unfinished.flush()
    await unfinished[Symbol.asyncDispose]()
    await using again = await open()
    await again.write('s', records('{"id":1}', '{"id":2}'))
    await again.flush()
    await again.finish?.()
    assert.equal(read(path), '{"id":1}\n{"id":2}\n')
  })

  it('a file that was cut short is refused, one that is gone is begun anew', async () => {
    const path = folder()
    await session(path, ['{"a":1}', '{"a":2}'])
    truncateSync(join(path, 's.jsonl'), 10)
    await assert.rejects(session(path, ['{"a":3}']), { code: 'DESTINATION_REFUSED' })
    rmSync(join(path, 's.jsonl'))
    await session(path, ['{"a":3}'])
    assert.equal(read(path), '{"a":3}\n')
  })

  for (const [compression, suffix, decompress] of [
    ['gzip', '.gz', async (bytes: Buffer) => gunzipSync(bytes).toString()],
    ['zstd', '.zst', unzstd],
  ] as const)
    it(`${compression}: many members are one file, cut back at a member's end`, async () => {
      const path = folder()
      await session(path, ['{"a":1}'], { compression })
      {
        await using s = await open(path, { compression })
        await s.write('s', records('{"a":2}'))
        await s.flush()
        await s.write(
          's',
          Array.from({ length: 300_000 }, (_, i) => record(`{"lost":${i}}`)),
        )
      }
      await session(path, ['{"a":3}'], { compression })
      assert.equal(await decompress(readFileSync(join(path, `s.jsonl${suffix}`))), '{"a":1}\n{"a":2}\n{"a":3}\n')
    })

  describe('mode replace', () => {
    const replace = { mode: 'replace' } as const
    it('the old file stays whole until the input ended', async () => {
      const path = folder()
      await session(path, ['{"old":1}'])
      {
        await using s = await open(path, replace)
        await s.declare(schema('s'))
        await s.write('s', records('{"new":1}'))
        await s.flush()
        assert.equal(read(path), '{"old":1}\n')
        await s.finish?.()
        assert.equal(read(path), '{"new":1}\n')
      }
      assert.deepEqual(readdirSync(path).sort(), ['.millrace-commits.json', '.millrace-lock', 's.jsonl'])
    })

    it('a run that was stopped is gone on with: its state was released', async () => {
      const path = folder()
      await session(path, ['{"old":1}'])
      {
        await using s = await open(path, replace)
        await s.write('s', records('{"new":1}'))
        await s.flush()
        await s.write('s', records('{"lost":1}'))
      }
      assert.equal(read(path), '{"old":1}\n')
      await session(path, ['{"new":2}'], replace)
      assert.equal(read(path), '{"new":1}\n{"new":2}\n')
      await session(path, ['{"newer":1}'], replace)
      assert.equal(read(path), '{"newer":1}\n')
    })

    it('going on in mode append keeps what was released', async () => {
      const path = folder()
      {
        await using s = await open(path, replace)
        await s.write('s', records('{"new":1}'))
        await s.flush()
      }
      await session(path, ['{"new":2}'])
      assert.equal(read(path), '{"new":1}\n{"new":2}\n')
    })

    it('a crash in the middle of the renaming is put right', async () => {
      const path = folder()
      await session(path, ['{"old":1}'])
      {
        await using s = await open(path, replace)
        await s.write('s', records('{"new":1}'))
        await s.flush()
      }
      const journal = join(path, '.millrace-commits.json')
      writeFileSync(journal, readFileSync(journal, 'utf8').replace('"becomes"', '"finished": true, "becomes"'))
      await session(path, ['{"new":2}'])
      assert.equal(read(path), '{"new":1}\n{"new":2}\n')
    })

    it('a substream without records ends up empty; one that did not come stays', async () => {
      const path = folder()
      await session(path, ['{"old":1}'])
      {
        await using s = await open(path)
        await s.write('other', records('{"old":1}'))
        await s.flush()
      }
      await session(path, [], replace)
      assert.equal(read(path), '')
      assert.equal(read(path, 'other.jsonl'), '{"old":1}\n')
    })
  })

  it('two runs at once are refused, one after the other not', async () => {
    const path = folder()
    const first = await open(path)
    await assert.rejects(open(path), { code: 'DESTINATION_BUSY' })
    await first[Symbol.asyncDispose]()
    await session(path, ['{}'])
  })

  it('a path that is a file is told', async () => {
    const path = join(folder(), 'file')
    writeFileSync(path, '')
    await assert.rejects(open(path), { code: 'DESTINATION_REFUSED', message: /is a file, not a folder/ })
    await assert.rejects(jsonl.check?.(context(path)) ?? Promise.resolve(), { code: 'DESTINATION_REFUSED' })
    await jsonl.check?.(context(join(root, 'not', 'there')))
    assert.equal(existsSync(join(root, 'not')), false)
  })

  it('a place that takes no files is refused by check, whatever its rights say', {
    skip: process.platform === 'linux' ? false : 'there is no /proc here',
  }, async () => {
    // It said that the settings are good: root may write to /proc.
    await assert.rejects(jsonl.check?.(context('/proc/xx')) ?? Promise.resolve(), { code: 'DESTINATION_REFUSED' })
    const path = folder()
    await jsonl.check?.(context(path))
    assert.deepEqual(readdirSync(path), [])
  })

  it('evidence is found again, and a change to the file is found too', async () => {
    const path = folder()
    await session(path, ['{"a":1}'])
    const s = await open(path)
    await s.write('s', records('{"a":2}', '{"a":3}'))
    await s.flush()
    const evidence = (await s.evidence?.()) ?? []
    await s[Symbol.asyncDispose]()
    assert.equal(evidence[0]?.rows, 2)
    await session(path, ['{"a":4}'])
    assert.deepEqual(await jsonl.verify?.(context(path), evidence), [{ substream: 's', rows: 2, problems: [] }])
    writeFileSync(join(path, 's.jsonl'), read(path).replace('3', '5'))
    assert.match((await jsonl.verify?.(context(path), evidence))?.[0]?.problems[0] ?? '', /not those that were written/)
    rmSync(join(path, 's.jsonl'))
    assert.match((await jsonl.verify?.(context(path), evidence))?.[0]?.problems[0] ?? '', /is gone/)
  })

  it('a thousand substreams need few descriptors and little memory', async () => {
    const path = folder()
    {
      await using s = await open(path)
      for (let i = 0; i < 1000; i++) await s.write(`s${i}`, records(`{"i":${i}}`))
      await s.flush()
      assert.ok(readdirSync('/proc/self/fd').length < 300)
    }
    assert.equal(read(path, 's999.jsonl'), '{"i":999}\n')
    assert.equal(readdirSync(path).filter((n) => n.endsWith('.jsonl')).length, 1000)
  })
})
