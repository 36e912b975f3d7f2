/**
 * The suite every persister passes. In its test:
 *
 *     persisterSuite('jsonl', { persister: jsonl, config: (dir) => ({ path: dir }), read, module: new URL('./index.ts', import.meta.url) })
 *
 * It sends the message files of `messages/`, each named for what it tries, and compares what the destination holds; opens and
 * closes sessions; and kills the persister at random points, to prove that no state was ever ahead of the data.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { resolveConfig } from '../config/resolve.ts'
import { silentLogger } from '../log/logger.ts'
import { encodeJson, type JsonObject } from '../message/json.ts'
import { MessageReader } from '../message/reader.ts'
import { RecordMessage } from '../message/record.ts'
import type { Message, SchemaMessage } from '../message/types.ts'
import { runPersister } from '../persister/run.ts'
import type { PersisterRunOptions } from '../persister/run-types.ts'
import type { Persister, PersisterContext, PersisterSession } from '../persister/types.ts'
import { faultTests } from './persister-faults.ts'
import { assertRows, type Rows } from './rows.ts'

export interface PersisterSuiteOptions {
  readonly persister: Persister
  /** Settings as a file would give them, for a destination within this empty folder. */
  readonly config: (dir: string) => JsonObject
  /**
   * What counts of a destination at this moment, also right after a crash: rows by substream. Called while no session
   * is open. Where the destination has another name for a substream, that name will do.
   */
  readonly read: (dir: string) => Promise<Rows>
  /** The module that exports the persister: with it, the suite also kills it in a process of its own. */
  readonly module?: URL
  /** How often it is killed. Default 20. */
  readonly kills?: number
  /** It writes to a server, not into the folder: a full disk is for its own test. */
  readonly remote?: boolean
  /** Message files that this persister need not pass, each with the reason. */
  readonly skip?: Readonly<Record<string, string>>
}

/** The message files, by their names. */
const messagesFolder = fileURLToPath(new URL('./messages/', import.meta.url))

const messagesOf = (bytes: Buffer): readonly Message[] => {
  const reader = new MessageReader()
  const messages = [...reader.push(bytes), ...reader.end()]
  if (reader.failure !== undefined) throw reader.failure
  return messages
}

/** The records that a destination must hold, by substream: of equal keys the last, where it overwrites. */
const expectedOf = (messages: readonly Message[], upsert: boolean): Rows => {
  const keys = new Map<string, readonly string[]>()
  for (const m of messages) if (m.type === 'SCHEMA') keys.set(m.stream, m.keyProperties)
  const rows = new Map<string, Map<string, JsonObject>>()
  for (const m of messages) {
    if (m.type !== 'RECORD') continue
    const key = upsert ? (keys.get(m.stream) ?? []) : []
    const mark = key.length === 0 ? `line ${m.line}` : encodeJson(key.map((k) => m.record[k] ?? null))
    const held = rows.get(m.stream) ?? new Map<string, JsonObject>()
    rows.set(m.stream, held.set(mark, m.record))
  }
  return new Map([...rows].map(([stream, held]) => [stream, [...held.values()]]))
}

/** Five hundred columns, of which each record has a few. */
const wideSchema = (): Buffer => {
  const properties = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`c${i}`, { type: ['null', 'integer'] }]))
  const lines: unknown[] = [
    {
      type: 'SCHEMA',
      stream: 'wide',
      schema: { type: 'object', properties: { id: { type: 'integer' }, ...properties } },
      key_properties: ['id'],
    },
  ]
  for (let id = 1; id <= 50; id++)
    lines.push({ type: 'RECORD', stream: 'wide', record: { id, [`c${id * 7}`]: id, [`c${id}`]: -id } })
  return Buffer.from(lines.map((l) => `${JSON.stringify(l)}\n`).join(''))
}

/** Pieces of a text that end anywhere, each after a turn of the loop. */
async function* slowly(bytes: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) {
    await new Promise((resolve) => setImmediate(resolve))
    yield bytes.subarray(at, at + length)
  }
}

/** Registers the suite with node:test. */
export const persisterSuite = (name: string, options: PersisterSuiteOptions): void => {
  const { persister } = options
  describe(`persister suite: ${name}`, () => {
    const root = mkdtempSync(join(tmpdir(), 'persister-suite-'))
    after(() => rmSync(root, { recursive: true, force: true }))
    const folder = (): string => mkdtempSync(join(root, 'd-'))
    const contextOf = (dir: string): PersisterContext => ({
      config: resolveConfig(persister.config, { kind: 'persister', name: persister.name, file: options.config(dir) })
        .config as never,
      log: silentLogger,
      signal: new AbortController().signal,
    })
    const open = async (dir: string): Promise<PersisterSession> => await persister.open(contextOf(dir))

    /** Sends bytes; answers the states that were released. */
    const send = async (
      dir: string,
      bytes: Buffer,
      more: Partial<PersisterRunOptions> = {},
    ): Promise<readonly string[]> => {
      const states: string[] = []
      await runPersister(persister, {
        ...contextOf(dir),
        input: slowly(bytes, 64 * 1024),
        writeState: (line) => {
          states.push(line)
        },
        ...more,
      })
      return states
    }

    const compare = async (dir: string, expected: Rows, what: string): Promise<void> => {
      const rows = await options.read(dir)
      for (const [stream, records] of expected)
        assertRows(rows.get(stream) ?? [], records, `${what}, ${stream.slice(0, 40)}`)
      for (const [stream, held] of rows)
        assert.ok(held.length === 0 || expected.has(stream), `${what}: rows of ${stream}, which were never sent`)
    }

    describe('holds what was sent', () => {
      const files = readdirSync(messagesFolder).map((f) => f.replace(/\.jsonl$/, ''))
      const numbers = persister.supports.exactNumbers ? undefined : 'it says that numbers are not kept digit for digit'
      for (const file of files.sort()) {
        const skip = options.skip?.[file] ?? (file === 'exact-numbers' ? numbers : undefined)
        test(file, { skip: skip ?? false }, async () => {
          const dir = folder()
          const bytes = readFileSync(join(messagesFolder, `${file}.jsonl`))
          const messages = messagesOf(bytes)
          const states = await send(dir, bytes)
          const lastState = messages.findLast((m) => m.type === 'STATE')
          assert.equal(states.at(-1), lastState === undefined ? undefined : `${lastState.text}\n`)
          const expected = expectedOf(messages, persister.supports.upsert)
          if (file === 'hostile-names') await compareByMarkers(dir, expected)
          else if (file === 'hostile-fields') await compareByValues(dir, expected)
          else await compare(dir, expected, file)
        })
      }

      /** A destination may call its columns otherwise: each value must have one of its own. */
      const compareByValues = async (dir: string, expected: Rows): Promise<void> => {
        const rows = await options.read(dir)
        const values = (of: Rows): string[][] =>
          [...of.values()].flat().map((row) =>
            Object.values(row)
              .filter((v) => v !== null && /^(v?\d+)$/.test(String(v)))
              .map(String)
              .sort(),
          )
        assert.deepEqual(values(rows), values(expected))
      }

      /** Names may differ at the destination: no two substreams may have come together, and none may be lost. */
      const compareByMarkers = async (dir: string, expected: Rows): Promise<void> => {
        const held = [...(await options.read(dir)).values()].filter((rows) => rows.length > 0)
        const marks = (rows: Iterable<readonly JsonObject[]>): string[] =>
          [...rows].map((r) => r.map((row) => String(row['marker'])).join()).sort()
        assert.deepEqual(marks(held), marks(expected.values()))
      }

      test('wide-schema', async () => {
        const dir = folder()
        await send(dir, wideSchema())
        await compare(dir, expectedOf(messagesOf(wideSchema()), persister.supports.upsert), 'wide-schema')
      })

      test('sent twice: overwritten by key, or there twice', async () => {
        const dir = folder()
        const bytes = readFileSync(join(messagesFolder, 'several-bookmarks.jsonl'))
        await send(dir, bytes)
        await send(dir, bytes)
        const messages = messagesOf(bytes)
        const twice = persister.supports.upsert ? messages : [...messages, ...messages.map(asNew)]
        await compare(dir, expectedOf(twice, persister.supports.upsert), 'sent twice')
      })

      test('input that comes slowly, in pieces that end anywhere', async () => {
        for (const length of [1, 7, 1000]) {
          const dir = folder()
          const bytes = readFileSync(join(messagesFolder, 'key-repeats.jsonl'))
          await send(dir, bytes, { input: slowly(bytes, length), flushRecords: 2 })
          await compare(dir, expectedOf(messagesOf(bytes), persister.supports.upsert), `pieces of ${length}`)
        }
      })
    })

    describe('sessions', () => {
      const schema: SchemaMessage = {
        type: 'SCHEMA',
        stream: 'things',
        schema: { type: 'object', properties: { id: { type: 'integer' }, t: { type: ['null', 'string'] } } },
        keyProperties: ['id'],
        line: 1,
      }
      const record = (id: number): RecordMessage => {
        const buffer = Buffer.from(`{"id":${id},"t":"text ${id}"}`)
        return new RecordMessage('things', id, { buffer, from: 0, to: buffer.length })
      }
      const rowsOf = (...ids: readonly number[]): Rows =>
        new Map([['things', ids.map((id) => ({ id, t: `text ${id}` }))]])

      test('disposal without a flush leaves nothing of what was not flushed', async () => {
        const dir = folder()
        {
          await using session = await open(dir)
          await session.declare(schema)
          await session.write('things', [record(1)])
        }
        await compare(dir, new Map(), 'never flushed')
        {
          await using session = await open(dir)
          await session.declare(schema)
          await session.write('things', [record(1), record(2)])
          await session.flush()
          await session.write('things', [record(3)])
        }
        await compare(dir, rowsOf(1, 2), 'flushed once')
      })

      test('what was flushed is still there after the next session', async () => {
        const dir = folder()
        for (const id of [1, 2, 3]) {
          await using session = await open(dir)
          await session.declare(schema)
          await session.write('things', [record(id)])
          await session.flush()
          await session.finish?.()
        }
        await compare(dir, rowsOf(1, 2, 3), 'three sessions')
      })

      test('nothing can be written after disposal, and disposing twice does no harm', async () => {
        const dir = folder()
        const session = await open(dir)
        await session.declare(schema)
        await session.write('things', [record(1)])
        await session.flush()
        await session[Symbol.asyncDispose]()
        await assert.rejects(async () => {
          await session.write('things', [record(2)])
          await session.flush()
        })
        await session[Symbol.asyncDispose]()
        await compare(dir, rowsOf(1), 'after disposal')
      })

      test('a flush with nothing to do, an empty batch and a schema that says nothing new do nothing', async () => {
        const dir = folder()
        {
          await using session = await open(dir)
          await session.flush()
          await session.declare(schema)
          await session.write('things', [])
          await session.declare(schema)
          await session.flush()
          await session.write('things', [record(1)])
          await session.declare(schema)
          await session.flush()
          await session.flush()
        }
        await compare(dir, rowsOf(1), 'little to do')
      })

      test('records are only read, and may be used by others', async () => {
        const dir = folder()
        const given = [record(1), record(2)]
        const before = given.map((r) => r.bytes().toString())
        {
          await using session = await open(dir)
          await session.declare(schema)
          await session.write('things', Object.freeze(given))
          await session.flush()
        }
        assert.deepEqual(
          given.map((r) => r.bytes().toString()),
          before,
        )
      })

      test('check says that all is well and changes nothing', {
        skip: persister.check === undefined ? 'it has no check' : false,
      }, async () => {
        const dir = folder()
        await persister.check?.(contextOf(dir))
        assert.deepEqual(readdirSync(dir), [])
      })

      test('evidence is found again by verify', {
        skip: persister.verify === undefined ? 'it has no verify' : false,
      }, async () => {
        const dir = folder()
        const result = await runPersister(persister, {
          ...contextOf(dir),
          input: slowly(readFileSync(join(messagesFolder, 'several-bookmarks.jsonl')), 1000),
          writeState: () => {},
          report: () => {},
        })
        assert.deepEqual(result.evidence.map((e) => e.substream).sort(), ['lines', 'orders'])
        const findings = (await persister.verify?.(contextOf(dir), result.evidence)) ?? []
        assert.equal(findings.length, result.evidence.length)
        for (const finding of findings) assert.deepEqual(finding.problems, [])
      })
    })

    faultTests(options, folder, contextOf)
  })
}

/** The same message at another place of the input. */
const asNew = (m: Message): Message =>
  m.type === 'RECORD' ? RecordMessage.of(m.stream, m.record, { line: m.line + 1_000_000 }) : m
