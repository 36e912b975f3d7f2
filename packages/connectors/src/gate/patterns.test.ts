import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { safePattern } from './patterns.ts'

const withinMs = (ms: number, what: () => void): void => {
  const started = performance.now()
  what()
  const took = performance.now() - started
  assert.ok(took < ms, `took ${took.toFixed(0)} ms`)
}

describe('patterns of schemas', () => {
  const hostile: readonly [pattern: string, text: string][] = [
    ['^(a+)+$', `${'a'.repeat(50_000)}b`],
    ['^(a|aa)+$', `${'a'.repeat(50_000)}b`],
    ['(.*a){12}', 'a'.repeat(11) + 'b'.repeat(5_000)],
    [`${'a?'.repeat(40)}${'a'.repeat(40)}`, 'a'.repeat(39)],
    ['\\s+$', `${' '.repeat(50_000)}x`],
    ['^([a-z0-9]+-?)*$', `${'a'.repeat(50_000)}!`],
    ['.*.*.*=.*', 'x'.repeat(20_000)],
  ]
  for (const [pattern, text] of hostile)
    it(`${pattern.slice(0, 30)} ends soon`, () =>
      withinMs(20_000, () => assert.equal(safePattern(pattern).test(text), false)))

  it('refuses what it can neither match by states nor trust', () => {
    assert.throws(() => safePattern('^(?=(a+)+$)(a+)+$'), /can take for ever/)
    assert.throws(() => safePattern('^(a+)+\\1$'), /can take for ever/)
    assert.throws(() => safePattern('((a{1,900}){1,900}){1,900}'), /can take for ever/)
    assert.throws(() => safePattern('('), /not a regular expression/)
  })

  it('takes patterns of other languages and of older engines', () => {
    assert.equal(safePattern('^[\\w\\-\\_]+$').test('a-b_c'), true)
    assert.equal(safePattern('\\A\\d+\\Z').test('123'), true)
    assert.equal(safePattern('^(?P<year>\\d{4})\\-x$').test('2024-x'), true)
    assert.equal(safePattern('^(?=.*\\d)(?=.*[a-z]).{4,}$').test('abc1'), true)
  })

  it('agrees with the engine of the language', () => {
    const atom = fc.constantFrom(
      'a',
      'b',
      '.',
      '[ab]',
      '[^a]',
      '\\w',
      '\\d',
      '\\b',
      '^',
      '$',
      'é',
      '\\u{1F600}',
      '😀',
      '(?:)',
    )
    const pattern = fc.letrec<{ all: string; part: string }>((tie) => ({
      part: fc.oneof(
        { maxDepth: 3 },
        atom,
        fc.tuple(tie('part'), tie('part')).map((p) => p.join('')),
        fc.tuple(tie('part'), tie('part')).map((p) => `(${p.join('|')})`),
        fc
          .tuple(tie('part'), fc.constantFrom('*', '+', '?', '{2}', '{1,3}', '{2,}', '*?'))
          .map(([p, q]) => `(?:${p})${q}`),
      ),
      all: tie('part'),
    })).all
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '1', ' ', 'é', '😀', '\n'), maxLength: 8 })
    fc.assert(
      fc.property(pattern, text, (p, t) => {
        // A tail that multiplies the ways sends every pattern to the states.
        const forced = `(?:${p})(?:(?:x|y)*)*`
        assert.equal(safePattern(forced).test(t), new RegExp(forced, 'u').test(t), `${forced} on ${JSON.stringify(t)}`)
        assert.equal(safePattern(p).test(t), new RegExp(p, 'u').test(t), `${p} on ${JSON.stringify(t)}`)
        const anchored = `^(?:${p})(?:(?:x|y)*)*$`
        assert.equal(
          safePattern(anchored).test(t),
          new RegExp(anchored, 'u').test(t),
          `${anchored} on ${JSON.stringify(t)}`,
        )
      }),
      { numRuns: 2_000 },
    )
  })
})
