import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { offsetOfPlace, parseTime, stampOf } from './time.ts'

const iso = (text: string): string | undefined => {
  const time = parseTime(text)
  return time === undefined ? undefined : new Date(time.ms).toISOString()
}

describe('time stamps of StreamDuo', () => {
  it('rise from record to record of one millisecond, and name their record when they come back', () => {
    const at = new Date('2026-11-28T15:16:23.716Z')
    assert.equal(stampOf(at, 4321n), '2026-11-28T15:16:23.716004321Z[UTC]')
    assert.ok(stampOf(at, 998n) < stampOf(at, 999n) && stampOf(at, 999n) < stampOf(at, 1000n))
    for (const offset of [0n, 7n, 999_999n, 1_000_000n, 12_345_678_901n]) {
      const time = parseTime(stampOf(at, offset))
      assert.equal(time?.ms, at.getTime())
      for (const before of [0n, 1n, 500n]) {
        const first = offset > before ? offset - before : 0n
        assert.equal(offsetOfPlace(time.place ?? '', first), offset)
      }
    }
  })

  it('cut to microseconds, name the first record that they may mean', () => {
    assert.deepEqual(parseTime('2026-11-28T15:16:23.716004'), {
      ms: Date.UTC(2026, 10, 28, 15, 16, 23, 716),
      place: '004',
    })
    assert.equal(offsetOfPlace('004', 3990n), 4000n)
    assert.equal(offsetOfPlace('004', 4321n), 4321n)
    assert.equal(offsetOfPlace('004', 5000n), 1_004_000n)
  })

  for (const [text, expected] of [
    ['2022-02-01T15:16:23.716848-05:00[America/New_York]', '2022-02-01T20:16:23.716Z'],
    ['2022-02-01T15:16:23.716848321Z[UTC]', '2022-02-01T15:16:23.716Z'],
    ['2022-02-01T15:16:23[America/New_York]', '2022-02-01T20:16:23.000Z'],
    ['2022-07-01T15:16:23[America/New_York]', '2022-07-01T19:16:23.000Z'],
    ['2022-03-13T01:30[America/New_York]', '2022-03-13T06:30:00.000Z'],
    ['2022-03-13T03:30[America/New_York]', '2022-03-13T07:30:00.000Z'],
    ['2022-02-01T15:16:23[Europe/Nowhere]', undefined],
    ['2021-11-03T21:03', '2021-11-03T21:03:00.000Z'],
    ['2021-11-03T21', '2021-11-03T21:00:00.000Z'],
    ['2021-11-03', '2021-11-03T00:00:00.000Z'],
    ['2021-11-03 21:03:05,5', '2021-11-03T21:03:05.500Z'],
    ['2021-11-03T21:03:05.5+0530', '2021-11-03T15:33:05.500Z'],
    ['2021-11-03T21:03-03', '2021-11-04T00:03:00.000Z'],
    ['2021-11-31', undefined],
    ['2021-11-03T25:00', undefined],
    ['yesterday', undefined],
    ['', undefined],
    ['2021-11-03T21:03:05[../../etc]', undefined],
  ] as const)
    it(`reads ${text === '' ? 'an empty text' : text} as ${expected ?? 'no time'}`, () => {
      assert.equal(iso(text), expected)
    })
})
