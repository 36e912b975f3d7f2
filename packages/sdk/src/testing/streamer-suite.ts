/**
 * The suite every streamer passes. One line in its test:
 *
 *     streamerSuite(weather, { config: { url }, module: new URL('./index.ts', import.meta.url) })
 *
 * It reads everything once, then stops, kills and starves the streamer, and wants the same records all the same.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { resolveConfig } from '../config/resolve.ts'
import { isMillraceError } from '../errors/error.ts'
import { silentLogger } from '../log/logger.ts'
import { encodeJson, isObject, type Json, type JsonObject, parseExact } from '../message/json.ts'
import { MessageReader } from '../message/reader.ts'
import type { RecordMessage } from '../message/record.ts'
import type { SchemaMessage } from '../message/types.ts'
import type { EmittedReport } from '../report/types.ts'
import { discoverCatalog } from '../streamer/catalog.ts'
import { runStreamer, type StreamerRunOptions } from '../streamer/run.ts'
import type { Streamer } from '../streamer/types.ts'
import { violationOf } from './schema-check.ts'

export interface StreamerSuiteOptions {
  /** What the suite is called; the streamer's name unless given. */
  readonly name?: string
  /** Settings as a file would give them, of a source that does not change meanwhile; or what makes them, called once. */
  readonly config: JsonObject | (() => Promise<JsonObject>)
  /** The module that exports the streamer: with it, the suite also kills it in a process of its own. */
  readonly module?: URL
  /** `exactly`: a resumed run repeats nothing that stands before the state. Default `at-least-once`. */
  readonly resumes?: 'exactly' | 'at-least-once'
  /** True: a run from the last state of a full run gives no record. */
  readonly incremental?: boolean
  /** How often it is stopped, and how often killed, at points spread over its output. Default 5. */
  readonly stops?: number
}

/** What one run wrote, read by the reader of the sdk. */
class Output {
  readonly records: RecordMessage[] = []
  readonly schemas = new Map<string, SchemaMessage>()
  readonly problems: string[] = []
  readonly #reader = new MessageReader()
  bytes = 0
  /** Text of the last state, and how many records stood before it. */
  state: string | undefined
  covered = 0
  emitted: EmittedReport | undefined

  push(chunk: Uint8Array): void {
    this.bytes += chunk.length
    // A copy: the streamer may use its buffer again.
    for (const m of this.#reader.push(Buffer.from(chunk))) {
      switch (m.type) {
        case 'SCHEMA':
          this.schemas.set(m.stream, m)
          break
        case 'RECORD': {
          const schema = this.schemas.get(m.stream)
          const problem = schema === undefined ? 'comes before its SCHEMA' : violationOf(schema.schema, m.record)
          if (problem !== undefined) this.problems.push(`${m.stream} line ${m.line}: ${problem}`)
          this.records.push(m)
          break
        }
        case 'STATE':
          this.state = m.text
          this.covered = this.records.length
          break
        default:
          break
      }
    }
  }

  get failure(): Error | undefined {
    return this.#reader.failure
  }

  /** Each record by its substream and key; the whole record where it has no key. */
  identities(upTo: number = this.records.length): string[] {
    return this.records.slice(0, upTo).map((m) => {
      const keys = this.schemas.get(m.stream)?.keyProperties ?? []
      return `${m.stream} ${keys.length === 0 ? encodeJson(m.record) : encodeJson(keys.map((k) => m.record[k] ?? null))}`
    })
  }

  /** Digests are of records, whatever the line around them says. */
  contents(upTo?: number): string[] {
    return this.records.slice(0, upTo).map((m) => `${m.stream} ${m.bytes().toString()}`)
  }
}

/** Registers the suite with node:test. */
export const streamerSuite = (streamer: Streamer, options: StreamerSuiteOptions): void => {
  describe(`streamer suite: ${options.name ?? streamer.name}`, () => {
    let config: JsonObject = {}
    let whole = new Output()

    const run = async (given: Partial<StreamerRunOptions> = {}): Promise<Output> => {
      const output = new Output()
      await runStreamer(streamer, {
        command: 'sync',
        config,
        log: silentLogger,
        signal: new AbortController().signal,
        report: (r) => {
          if (r.kind === 'emitted') output.emitted = r
        },
        ...given,
        write: async (chunk) => {
          await given.write?.(chunk)
          output.push(chunk)
        },
      })
      return output
    }

    before(async () => {
      const file = typeof options.config === 'function' ? await options.config() : options.config
      config = resolveConfig(streamer.config, { kind: 'streamer', name: streamer.name, file }).config as JsonObject
      whole = await run()
    })

    test('check passes and writes nothing', async () => {
      assert.equal((await run({ command: 'check' })).bytes, 0)
    })

    test('discovery is a valid catalog', async () => {
      const parts: Uint8Array[] = []
      await runStreamer(streamer, {
        command: 'discover',
        config,
        log: silentLogger,
        signal: new AbortController().signal,
        write: (chunk) => {
          parts.push(chunk)
        },
      })
      const catalog = parseExact(Buffer.concat(parts).toString()) as JsonObject
      const streams = catalog['streams'] as readonly JsonObject[]
      assert.ok(streams.length > 0, 'it offers a substream')
      const ids = streams.map((s) => s['tap_stream_id'])
      assert.equal(new Set(ids).size, ids.length, 'names are unique')
      for (const s of streams) {
        const schema = s['schema'] as JsonObject
        assert.equal(schema['type'], 'object')
        const properties = schema['properties']
        assert.ok(isObject(properties))
        for (const key of s['key_properties'] as readonly string[])
          assert.ok(key in properties, `key ${key} is a property`)
      }
    })

    test('schemas come first, records fit them and have their keys, the books are right', () => {
      assert.equal(whole.failure, undefined)
      assert.deepEqual(whole.problems.slice(0, 5), [])
      assert.ok(whole.records.length > 0, 'the fixture gives records')
      for (const m of whole.records)
        for (const key of whole.schemas.get(m.stream)?.keyProperties ?? [])
          assert.ok(m.record[key] != null, `${m.stream}: key ${key}`)
      assert.ok(whole.state !== undefined, 'a state comes at the end')
      const counts = new Map<string, number>()
      for (const m of whole.records) counts.set(m.stream, (counts.get(m.stream) ?? 0) + 1)
      for (const [name, { records }] of Object.entries(whole.emitted?.substreams ?? {}))
        assert.equal(records, counts.get(name) ?? 0)
    })

    if (options.incremental === true)
      test('a run from the last state gives nothing new', async () => {
        const again = await run({ state: parseExact(whole.state as string) })
        assert.deepEqual(again.identities().slice(0, 5), [])
      })

    test('stopped at any point, it goes on from its state', async () => {
      for (const at of points(whole.bytes, options.stops ?? 5)) {
        const stop = new AbortController()
        let bytes = 0
        const first = await run({
          signal: stop.signal,
          write: (chunk) => {
            bytes += chunk.length
            if (bytes >= at) stop.abort()
          },
        })
        assert.equal(first.failure, undefined)
        assertUnion(whole, first, await run({ state: stateOf(first) }), options)
      }
    })

    test('the reader is waited for', async () => {
      const release = Promise.withResolvers<void>()
      const writing = Promise.withResolvers<void>()
      let calls = 0
      const running = run({
        write: async () => {
          if (calls++ > 0) return
          writing.resolve()
          await release.promise
        },
      })
      await writing.promise
      for (let i = 0; i < 200; i++) await new Promise((done) => setImmediate(done))
      assert.equal(calls, 1, 'nothing is handed over while the reader is busy')
      release.resolve()
      assert.equal((await running).records.length, whole.records.length)
    })

    test('a reader that goes away ends it', async () => {
      const gone = Object.assign(new Error('gone'), { code: 'EPIPE' })
      await assert.rejects(
        run({
          write: () => {
            throw gone
          },
        }),
        (e) => e === gone || isMillraceError(e),
      )
    })

    test('what is not selected does not come', async () => {
      const substreams = await streamer.substreams({
        config: config as never,
        log: silentLogger,
        signal: new AbortController().signal,
      })
      const catalog = discoverCatalog(substreams)
      const streams = catalog['streams'] as readonly JsonObject[]
      const none = await run({
        catalog: {
          streams: streams.map((s) => ({ ...s, metadata: [{ breadcrumb: [], metadata: { selected: false } }] })),
        },
      })
      assert.equal(none.records.length, 0)
      const dropped = new Map<string, string>()
      const without = await run({
        catalog: {
          streams: streams.map((s) => {
            const automatic = new Set([...(s['key_properties'] as readonly string[]), s['replication_key'] as string])
            const field = Object.keys((s['schema'] as JsonObject)['properties'] as JsonObject).find(
              (f) => !automatic.has(f),
            )
            if (field !== undefined) dropped.set(s['tap_stream_id'] as string, field)
            return {
              ...s,
              metadata: [
                { breadcrumb: [], metadata: { selected: whole.schemas.has(s['stream'] as string) } },
                ...(field === undefined ? [] : [{ breadcrumb: ['properties', field], metadata: { selected: false } }]),
              ],
            }
          }),
        },
      })
      assert.equal(without.records.length, whole.records.length)
      for (const [name, { schema }] of without.schemas) {
        const field = dropped.get(name)
        assert.ok(
          field === undefined || !(field in (schema['properties'] as object)),
          `${name}: ${field} is in the schema`,
        )
      }
      for (const m of without.records)
        assert.ok(
          !((dropped.get(m.stream) ?? '') in m.record),
          `${m.stream}: ${dropped.get(m.stream)} was not selected`,
        )
    })

    if (options.module !== undefined) {
      const { module } = options
      test('killed at any point, nothing is lost', async () => {
        for (const at of points(whole.bytes, options.stops ?? 5)) {
          const first = new Output()
          const child = start(streamer, module, config)
          for await (const chunk of child.stdout as AsyncIterable<Uint8Array>) {
            if (first.bytes + chunk.length < at) {
              first.push(chunk)
              continue
            }
            // What the pipe still held when it died counts only up to here.
            first.push(chunk.subarray(0, at - first.bytes))
            child.kill('SIGKILL')
            break
          }
          await exited(child)
          assertUnion(whole, first, await run({ state: stateOf(first) }), options)
        }
      })

      test('a closed pipe ends the process', async () => {
        const child = start(streamer, module, config)
        child.stdout?.destroy()
        const [code, signal] = await exited(child)
        assert.equal(signal, null)
        assert.ok(code === 0 || code === 1)
      })
    }
  })
}

const stateOf = (output: Output): Json | undefined =>
  output.state === undefined ? undefined : parseExact(output.state)

/** Places spread over the output, not at even distances, the same each time. */
const points = (bytes: number, n: number): number[] =>
  Array.from({ length: n }, (_, i) => Math.max(1, Math.floor((bytes * (i + ((i * 7919) % 13) / 13)) / n)))

/** Only what stands before the last state counts of the first run: that much a destination is sure to hold. */
const assertUnion = (whole: Output, first: Output, second: Output, options: StreamerSuiteOptions): void => {
  assert.deepEqual(second.problems.slice(0, 5), [])
  const united = [...first.identities(first.covered), ...second.identities()]
  const held = new Set(united)
  const missing = whole.identities().filter((id) => !held.has(id))
  assert.deepEqual(missing.slice(0, 5), [], `${missing.length} records lost`)
  if (options.resumes === 'exactly')
    assert.deepEqual(
      [...first.contents(first.covered), ...second.contents()].sort(),
      whole.contents().sort(),
      'nothing comes twice',
    )
}

/** The program beside this file: TypeScript in the repository, JavaScript in the published package. */
const childProgram = new URL(
  import.meta.url.endsWith('.ts') ? './streamer-child.ts' : './streamer-child.js',
  import.meta.url,
)

const start = (streamer: Streamer, module: URL, config: JsonObject): ChildProcess =>
  spawn(
    process.execPath,
    [fileURLToPath(childProgram), encodeJson({ module: module.href, name: streamer.name, config })],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )

const exited = async (child: ChildProcess): Promise<[number | null, string | null]> =>
  child.exitCode !== null || child.signalCode !== null
    ? [child.exitCode, child.signalCode]
    : ((await once(child, 'exit')) as [number | null, string | null])
