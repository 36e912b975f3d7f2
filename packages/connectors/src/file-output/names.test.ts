import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { fileNameFor, safeBase } from './names.ts'

it('names that every file system takes stay as they are', () => {
  for (const name of ['orders', 'public-orders', 'a.b_c', 'Größe', '注文', 'two words', "it's", 'a+b@c#d(e)'])
    assert.equal(safeBase(name), name)
})

it('others are written with percent signs', () => {
  const rows: readonly [name: string, base: string][] = [
    ['a/b', 'a%2Fb'],
    ['..', '%2E%2E'],
    ['.hidden', '%2Ehidden'],
    ['../../etc/passwd', '%2E.%2F..%2Fetc%2Fpasswd'],
    ['a\0b', 'a%00b'],
    ['a\nb', 'a%0Ab'],
    ['100%', '100%25'],
    ['a~2', 'a%7E2'],
    ['CON', '%43ON'],
    ['con.x', '%63on.x'],
    ['end.', 'end%2E'],
    ['', '%'],
    ['-rf', '%2Drf'],
    ['e\u0301', 'e%CC%81'],
  ]
  for (const [name, base] of rows) assert.equal(safeBase(name), base)
})

it('no two names share a file, and every one fits', () => {
  const name = fc.oneof(
    fc.string({
      unit: fc.constantFrom('a', 'A', '/', '.', '%', '~', ' ', '2', 'F', '\0', 'é', 'e\u0301', '\ud800', '😀', '\\'),
    }),
    fc.string({ unit: 'binary', minLength: 100, maxLength: 400 }),
  )
  fc.assert(
    fc.property(name, name, (a, b) => {
      for (const base of [safeBase(a), safeBase(b)]) {
        assert.ok(Buffer.byteLength(base) <= 230 && base.length > 0)
        assert.ok(!/[/\\\0\n]/.test(base) && !base.startsWith('.'))
        assert.equal(Buffer.from(base).toString(), base)
      }
      if (a !== b) assert.notEqual(safeBase(a), safeBase(b))
    }),
    { numRuns: 3000 },
  )
})

it('a name that differs from a taken one only in case gets a mark', () => {
  const taken = (folded: string): string | undefined => (folded === 'orders.jsonl' ? 'orders' : undefined)
  assert.equal(fileNameFor('orders', 1, 'jsonl', taken), 'orders.jsonl')
  assert.match(fileNameFor('Orders', 1, 'jsonl', taken), /^Orders~[0-9a-f]{16}\.jsonl$/)
  assert.equal(
    fileNameFor('orders', 2, 'csv.gz', () => undefined),
    'orders~2.csv.gz',
  )
})
