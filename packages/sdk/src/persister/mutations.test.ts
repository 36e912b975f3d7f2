import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isMillraceError, type MillraceError } from '../errors/error.ts'
import { silentLogger } from '../log/logger.ts'
import { dials } from '../testing/dials.ts'
import { runPersister } from './run.ts'

const seed = Number(process.env['MILLRACE_TEST_SEED'] ?? 20261121)

/** mulberry32: small, seeded, good enough to choose mutations. */
const random = (start: number): (() => number) => {
  let a = start
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const lines = (): string[] => {
  const out = [
    '{"type":"SCHEMA","stream":"s","schema":{"type":"object","properties":{"id":{"type":"integer"},"t":{}}},"key_properties":["id"]}',
  ]
  for (let id = 1; id <= 12; id++) {
    out.push(
      `{"type":"RECORD","stream":"s","record":{"id":${id},"t":"naïve \\"x\\" ${id}","o":{"a":[1,2,{"b":null}]}},"time_extracted":"2026-01-01T00:00:00Z"}`,
    )
    if (id % 4 === 0) out.push(`{"type":"STATE","value":{"id":${id}}}`)
  }
  return out
}

/** One change at one place: a byte flipped, dropped, doubled, replaced by something structural, or a cut. */
const mutate = (good: Buffer, next: () => number): Buffer => {
  const at = Math.floor(next() * good.length)
  const structural = Buffer.from('{}[]",:\\\n\u0000eE-019 \u00ff', 'latin1')
  const one = Buffer.from([structural[Math.floor(next() * structural.length)] as number])
  switch (Math.floor(next() * 6)) {
    case 0:
      return Buffer.concat([good.subarray(0, at), one, good.subarray(at + 1)])
    case 1:
      return Buffer.concat([good.subarray(0, at), good.subarray(at + 1)])
    case 2:
      return Buffer.concat([good.subarray(0, at), one, good.subarray(at)])
    case 3:
      return good.subarray(0, at)
    case 4: {
      const b = Buffer.from(good)
      b[at] = (b[at] as number) ^ (1 << Math.floor(next() * 8))
      return b
    }
    default: {
      const to = Math.min(good.length, at + Math.floor(next() * 40))
      return Buffer.concat([good.subarray(0, to), good.subarray(at)])
    }
  }
}

const idsOf = (records: readonly string[] | undefined): number[] =>
  (records ?? []).map((r) => (JSON.parse(r) as { id: number }).id)

describe(`5,000 mutated inputs (seed ${seed})`, () => {
  for (const opens of [true, false]) {
    it(`end in an error with its line or in a good run, and lose nothing before it (${opens ? 'opened' : 'passed on'})`, async () => {
      const next = random(seed + (opens ? 1 : 0))
      const good = Buffer.from(`${lines().join('\n')}\n`)
      let failed = 0
      for (let i = 0; i < 2500; i++) {
        const bad = mutate(good, next)
        // The first byte that differs is in this line; every line before it must have been read.
        let same = 0
        while (same < bad.length && same < good.length && bad[same] === good[same]) same++
        const untouched = good
          .subarray(0, same === 0 ? 0 : good.lastIndexOf(10, same - 1) + 1)
          .toString()
          .split('\n')
          .slice(0, -1)
        const before = untouched
          .filter((l) => l.includes('"RECORD"'))
          .map((l) => (JSON.parse(l) as { record: { id: number } }).record.id)
        const d = dials({ opensRecords: opens })
        const states: string[] = []
        async function* input(): AsyncGenerator<Uint8Array> {
          const cut = Math.floor(next() * bad.length)
          yield bad.subarray(0, cut)
          yield bad.subarray(cut)
        }
        try {
          await runPersister(d.persister, {
            config: {},
            input: input(),
            writeState: (s) => {
              states.push(s)
            },
            log: silentLogger,
            signal: new AbortController().signal,
          })
        } catch (e) {
          failed++
          assert.ok(isMillraceError(e), `case ${i}: ${(e as Error).stack}`)
          assert.notEqual((e as MillraceError).code, 'INTERNAL', `case ${i}: ${(e as MillraceError).message}`)
          assert.equal(typeof e.details['line'], 'number', `case ${i}: ${e.code} has no line`)
          assert.ok(
            (e.details['line'] as number) > untouched.length,
            `case ${i}: line ${e.details['line']} is before the change`,
          )
        }
        const held = [...d.durable.values()].flat()
        const heldBefore = held.slice(0, before.length)
        assert.deepEqual(idsOf(heldBefore), before, `case ${i}: records before the bad line`)
        for (const s of states.filter((text) => text.startsWith('{"id":'))) {
          const { id } = JSON.parse(s) as { id: number }
          if (id <= (before.at(-1) ?? 0))
            assert.ok(held.length >= id, `case ${i}: state ${s} ahead of ${held.length} records`)
        }
      }
      assert.ok(failed > 1000, `only ${failed} of the mutations were bad input`)
    })
  }
})
