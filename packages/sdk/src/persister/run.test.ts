import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { DeadLetter } from '../books/types.ts'
import { MillraceError } from '../errors/error.ts'
import type { CompileMap, CompileSchema } from '../gate/types.ts'
import { silentLogger } from '../log/logger.ts'
import type { Report } from '../report/types.ts'
import { type Dials, dials } from '../testing/dials.ts'
import { runPersister } from './run.ts'
import type { PersisterRunOptions } from './run-types.ts'

const schema = (stream = 's', keys: readonly string[] = ['id']): string =>
  JSON.stringify({ type: 'SCHEMA', stream, schema: { properties: { id: { type: 'integer' } } }, key_properties: keys })
const record = (id: number, stream = 's'): string => JSON.stringify({ type: 'RECORD', stream, record: { id } })
const state = (value: unknown): string => JSON.stringify({ type: 'STATE', value })

async function* inputOf(lines: readonly string[], end = '\n'): AsyncGenerator<Uint8Array> {
  yield Buffer.from(lines.join('\n') + end)
}

/** Runs it and answers what it printed, reported and threw; after each state, what was durable at that moment. */
const run = async (
  d: Dials,
  input: readonly string[] | AsyncIterable<Uint8Array>,
  options: Partial<PersisterRunOptions> = {},
) => {
  const states: string[] = []
  const durableAtState: number[] = []
  const reports: Report[] = []
  let error: unknown
  try {
    await runPersister(d.persister, {
      config: {},
      input: Array.isArray(input) ? inputOf(input) : (input as AsyncIterable<Uint8Array>),
      writeState: (line) => {
        states.push(line)
        durableAtState.push([...d.durable.values()].reduce((n, r) => n + r.length, 0))
      },
      log: silentLogger,
      signal: new AbortController().signal,
      report: (r) => {
        reports.push(r)
      },
      ...options,
    })
  } catch (e) {
    error = e
  }
  const closed = reports.findLast((r) => r.kind === 'closed' || r.kind === 'commit')
  return {
    states,
    durableAtState,
    reports,
    error,
    books: closed !== undefined && 'books' in closed ? closed.books : {},
  }
}

const idIs =
  (bad: (id: number) => boolean): CompileSchema =>
  () =>
  (r) =>
    bad(r['id'] as number) ? { field: 'id', rule: 'must be good' } : undefined

describe('running a persister', () => {
  it('releases a state only after the records before it are durable', async () => {
    const d = dials()
    const { states, durableAtState, error } = await run(
      d,
      [schema(), record(1), state({ a: 1 }), record(2), record(3), state({ a: 2 })],
      {
        flushRecords: 1,
      },
    )
    assert.equal(error, undefined)
    assert.deepEqual(states, ['{"a":1}\n', '{"a":2}\n'])
    assert.deepEqual(durableAtState, [1, 3])
  })

  it('lets several states share one flush, the last wins', async () => {
    const d = dials()
    const { states } = await run(d, [schema(), record(1), state(1), state(2), record(2), state(3)])
    assert.deepEqual(states, ['3\n'])
    assert.equal(d.calls.filter((c) => c === 'flush').length, 1)
  })

  it('writes a state back as it stood on the wire', async () => {
    const { states } = await run(dials(), ['{"type":"STATE","value":{"n": 1.0, "big":12345678901234567890123 }}'])
    assert.deepEqual(states, ['{"n": 1.0, "big":12345678901234567890123 }\n'])
  })

  it('prints a trailing state without records, also an empty one, and nothing where there was none', async () => {
    assert.deepEqual((await run(dials(), [state({})])).states, ['{}\n'])
    assert.deepEqual((await run(dials(), [schema(), record(1)])).states, [])
    assert.deepEqual((await run(dials(), [])).states, [])
  })

  for (const call of ['declare', 'write', 'flush'] as const) {
    it(`releases nothing when ${call} fails`, async () => {
      const d = dials({ failAt: { call, n: 1 } })
      const { states, error } = await run(d, [schema(), record(1), state(1)])
      assert.equal((error as MillraceError).code, 'DESTINATION_UNAVAILABLE')
      assert.deepEqual(states, [])
      assert.equal(d.calls.at(-1), 'dispose')
    })
  }

  it('keeps the state of a flush that worked when a later one fails', async () => {
    const d = dials({ failAt: { call: 'flush', n: 2 } })
    const { states } = await run(d, [schema(), record(1), state(1), record(2), state(2)], { flushRecords: 1 })
    assert.deepEqual(states, ['1\n'])
  })

  it('stops at an invalid record with everything before it durable and no state from behind it', async () => {
    const d = dials()
    const { states, error } = await run(d, [schema(), record(1), state('one'), record(2), record(99), state('two')], {
      compileSchema: idIs((id) => id === 99),
    })
    const e = error as MillraceError
    assert.equal(e.code, 'RECORD_INVALID')
    assert.match(e.message, /line 5: stream s, key id=99: field id must be good/)
    assert.deepEqual(d.durable.get('s'), ['{"id":1}', '{"id":2}'])
    assert.deepEqual(states, ['"one"\n'])
  })

  it('sets an invalid record aside with its reason before the state behind it', async () => {
    const d = dials()
    const order: string[] = []
    const letters: DeadLetter[] = []
    const { books } = await run(d, [schema(), record(1), record(99), record(2), state('x'), '{"half'], {
      compileSchema: idIs((id) => id === 99),
      onInvalid: 'dead-letter',
      keepDeadLetters: async (l) => {
        order.push('letters')
        letters.push(...l)
      },
      writeState: () => {
        order.push('state')
      },
    })
    assert.deepEqual(d.durable.get('s'), ['{"id":1}', '{"id":2}'])
    assert.deepEqual(order, ['letters', 'state'])
    assert.deepEqual(
      letters.map((l) => [l.substream, l.line, l.code, l.text]),
      [
        ['s', 3, 'RECORD_INVALID', '{"id":99}'],
        ['', 6, 'MESSAGE_NOT_JSON', '{"half'],
      ],
    )
    const s = books['s']
    assert.deepEqual([s?.received.records, s?.stored.records, s?.deadLettered.records], [3, 2, 1])
  })

  it('handles records that the destination rejects like invalid ones', async () => {
    const lines = [schema(), record(1), state(1), record(2), record(3), state(2)]
    const stop = dials({ reject: (r) => r.record['id'] === 3 })
    const stopped = await run(stop, lines)
    assert.equal((stopped.error as MillraceError).code, 'VALUE_NOT_STORABLE')
    assert.deepEqual(stop.durable.get('s'), ['{"id":1}', '{"id":2}'])
    assert.deepEqual(stopped.states, ['1\n'])
    const aside = dials({ reject: (r) => r.record['id'] === 1 })
    const kept = await run(aside, lines, { onInvalid: 'dead-letter' })
    assert.equal(kept.error, undefined)
    assert.deepEqual(aside.durable.get('s'), ['{"id":2}', '{"id":3}'])
    assert.deepEqual(kept.states, ['2\n'])
  })

  it('saves what came before a line that cannot be read, and names that line', async () => {
    const d = dials()
    const { states, error } = await run(d, [schema(), record(1), state(1), 'oops'])
    assert.equal((error as MillraceError).code, 'MESSAGE_NOT_JSON')
    assert.equal((error as MillraceError).details['line'], 4)
    assert.deepEqual(d.durable.get('s'), ['{"id":1}'])
    assert.deepEqual(states, ['1\n'])
  })

  it('closes the books: received is stored, filtered and dead-lettered, by count and digest', async () => {
    const d = dials()
    const compileMap: CompileMap = (s) => ({
      schema: s,
      apply: (r) => ((r.record['id'] as number) % 3 === 0 ? undefined : r),
    })
    const lines = [schema(), ...Array.from({ length: 100 }, (_, i) => record(i)), state(1)]
    const { books } = await run(d, lines, {
      compileMap,
      compileSchema: idIs((id) => id === 50),
      onInvalid: 'dead-letter',
    })
    const s = books['s']
    assert.ok(s)
    assert.deepEqual(
      [s.received.records, s.stored.records, s.filtered.records, s.deadLettered.records],
      [100, 65, 34, 1],
    )
    const sum =
      (BigInt(`0x${s.stored.digest}`) + BigInt(`0x${s.filtered.digest}`) + BigInt(`0x${s.deadLettered.digest}`)) &
      0xffffffffffffffffn
    assert.equal(sum.toString(16).padStart(16, '0'), s.received.digest)
    assert.notEqual(s.received.digest, '0000000000000000')
  })

  it('stores a record that had no schema, with one inferred, and widens it', async () => {
    const d = dials()
    await run(
      d,
      [
        '{"type":"RECORD","stream":"hello","record":{"value":"world"}}',
        '{"type":"RECORD","stream":"hello","record":{"value":3,"more":1}}',
      ],
      {
        batchRecords: 1,
      },
    )
    assert.deepEqual(d.durable.get('hello'), ['{"value":"world"}', '{"value":3,"more":1}'])
    assert.equal(d.schemas.length, 2)
    assert.deepEqual(Object.keys((d.schemas[1]?.schema['properties'] ?? {}) as object), ['value', 'more'])
  })

  it('refuses a record without schema where one is required', async () => {
    const { error } = await run(dials(), [record(1)], { requireSchema: true })
    assert.equal((error as MillraceError).code, 'RECORD_WITHOUT_SCHEMA')
  })

  it('keeps the order within a substream across schema changes, and says nothing twice', async () => {
    const d = dials()
    const wider = JSON.stringify({
      type: 'SCHEMA',
      stream: 's',
      schema: { properties: { id: {}, x: {} } },
      key_properties: ['id'],
    })
    await run(d, [schema(), record(1), schema(), record(2), wider, record(3)])
    assert.deepEqual(d.calls, ['declare s', 'write s 2', 'declare s', 'write s 1', 'flush', 'dispose'])
  })

  it('passes ACTIVATE_VERSION on behind the records before it', async () => {
    const d = dials()
    await run(d, [schema(), record(1), '{"type":"ACTIVATE_VERSION","stream":"s","version":7}', record(2)])
    assert.deepEqual(d.calls.slice(0, 4), ['declare s', 'write s 1', 'activate s 7', 'write s 1'])
  })

  it('warns once for each unknown type and goes on', async () => {
    const warned: string[] = []
    const log = { ...silentLogger, warn: (m: string, f?: unknown) => warned.push(`${m} ${JSON.stringify(f)}`) }
    const d = dials()
    await run(d, [schema(), '{"type":"REPORT","x":1}', '{"type":"REPORT"}', '{"type":"other"}', record(1)], {
      log: log as never,
    })
    assert.equal(warned.length, 2)
    assert.deepEqual(d.durable.get('s'), ['{"id":1}'])
  })

  it('flushes and releases by time while the input is silent', async () => {
    let release: () => void = () => {}
    const silent = new Promise<void>((resolve) => {
      release = resolve
    })
    async function* input(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(`${[schema(), record(1), state(1)].join('\n')}\n`)
      await silent
    }
    const { states } = await run(dials(), input(), { flushMs: 1, writeState: () => release() })
    assert.deepEqual(states, [])
  })

  it('on a first signal stores what was read, releases its state and ends though the input goes on', async () => {
    const stop = new AbortController()
    async function* input(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(`${[schema(), record(1), state(1)].join('\n')}\n`)
      stop.abort()
      await new Promise(() => {})
    }
    const d = dials()
    const { states, error } = await run(d, input(), { signal: stop.signal })
    assert.equal(error, undefined)
    assert.deepEqual(states, ['1\n'])
  })

  it('on a second signal ends at once and releases nothing more', async () => {
    const kill = new AbortController()
    async function* input(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(`${[schema(), record(1), state(1)].join('\n')}\n`)
      kill.abort()
      await new Promise(() => {})
    }
    const { states, error } = await run(dials(), input(), { kill: kill.signal })
    assert.equal((error as MillraceError).code, 'INTERRUPTED')
    assert.deepEqual(states, [])
  })

  it('stops at the first of several bad records, with everything before it durable', async () => {
    // Each substream is written when it is flushed: the later bad record may be met first.
    const d = dials({ reject: (r) => r.record['id'] === 666 })
    const { error, states } = await run(d, [
      schema('a'),
      schema('b'),
      record(1, 'a'),
      record(1, 'b'),
      state(1),
      record(666, 'b'),
      state(2),
      record(666, 'a'),
      state(3),
    ])
    assert.equal((error as MillraceError).details['line'], 6)
    assert.deepEqual(states, ['1\n'])
    assert.deepEqual(
      [...d.durable],
      [
        ['a', ['{"id":1}']],
        ['b', ['{"id":1}']],
      ],
    )
  })

  it('keeps what came before a SCHEMA that the maps refuse', async () => {
    const d = dials()
    const compileMap: CompileMap = (s) => {
      if (s.stream === 'a') return undefined
      throw new MillraceError('CONFIG_INVALID', { what: 'maps of b', problems: ['drop key property id'] })
    }
    const { error, states } = await run(d, [schema('a'), record(1, 'a'), state(1), schema('b'), state(2)], {
      compileMap,
    })
    assert.equal((error as MillraceError).code, 'CONFIG_INVALID')
    assert.deepEqual(states, ['1\n'])
    assert.deepEqual(d.durable.get('a'), ['{"id":1}'])
  })

  it('sets a record aside as it came, also where the destination refused what a map made of it', async () => {
    const d = dials({ reject: (r) => r.record['number'] === 2 })
    const compileMap: CompileMap = (s) => ({
      schema: s,
      apply: (r) => r.with({ number: r.record['id'] ?? null }),
    })
    const { reports, books } = await run(d, [schema(), record(1), record(2)], { compileMap, onInvalid: 'dead-letter' })
    const letters = reports.flatMap((r) => (r.kind === 'commit' ? r.deadLetters : []))
    assert.deepEqual(
      letters.map((l) => l.text),
      ['{"id":2}'],
    )
    assert.equal(books['s']?.deadLettered.bytes, 8)
  })

  it('does not tell the value of a key that is masked', async () => {
    const d = dials()
    const { error } = await run(
      d,
      [schema('s', ['mail', 'id']), '{"type":"RECORD","stream":"s","record":{"id":666,"mail":"a@b"}}'],
      {
        compileSchema: idIs((id) => id === 666),
        compileMap: (s) => ({ schema: s, apply: (r) => r, hidden: new Set(['mail']) }),
      },
    )
    assert.match((error as Error).message, /mail=\(masked\), id=666/)
    assert.doesNotMatch((error as Error).message, /a@b/)
  })

  it('sets a line aside that is too long, with its beginning only', async () => {
    const d = dials()
    const long = `{"type":"RECORD","stream":"s","record":{"id":2,"t":"${'x'.repeat(2_000)}"}}`
    const bytes = Buffer.from([schema(), record(1), long, record(3), state(9)].join('\n'))
    async function* inPieces(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += 100) yield bytes.subarray(at, at + 100)
    }
    const { reports, books, error, states } = await run(d, inPieces(), { maxLineBytes: 500, onInvalid: 'dead-letter' })
    assert.equal(error, undefined)
    assert.deepEqual(states, ['9\n'])
    const letters = reports.flatMap((r) => (r.kind === 'commit' ? r.deadLetters : []))
    assert.deepEqual(
      letters.map((l) => [l.code, l.line]),
      [['MESSAGE_TOO_LONG', 3]],
    )
    const text = letters[0]?.text ?? ''
    assert.equal(text.at(-1), '…')
    assert.ok(text.length > 500 && text.length < 700 && long.startsWith(text.slice(0, -1)))
    assert.deepEqual(d.durable.get('s'), ['{"id":1}', '{"id":3}'])
    assert.equal(books['']?.deadLettered.records, 1)
  })
})

it('a state of null is never printed: whoever got it back could not tell it from the beginning', async () => {
  const d = dials()
  const { states, error } = await run(d, [schema(), record(1), state({ a: 1 }), record(2), state(null)])
  assert.equal(error, undefined)
  assert.deepEqual(states, ['{"a":1}\n'])
  assert.equal(d.durable.get('s')?.length, 2)
})
