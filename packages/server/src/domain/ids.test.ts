import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isUuid, maxIdOffset, RecordIds, uuidv7 } from './ids.ts'

const key = Buffer.alloc(32, 7)
const stream = '01890000-0000-7000-8000-000000000001'
const at = Date.UTC(2026, 10, 28)

describe('record ids', () => {
  it('are decoded to what they were made of, and are UUIDs', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: maxIdOffset }),
        fc.integer({ min: 0, max: 2 ** 48 - 1 }),
        (offset, atMs) => {
          const id = new RecordIds(key, stream).encode(offset, atMs)
          assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
          assert.deepEqual(new RecordIds(key, stream).decode(id), { offset, atMs })
        },
      ),
    )
  })

  it('sort as the records do', () => {
    const ids = new RecordIds(key, stream)
    const made = [0n, 1n, 7n, 8n, 4096n, 2n ** 30n - 1n, 2n ** 30n, maxIdOffset].map((o) => ids.encode(o, at))
    assert.deepEqual([...made].sort(), made)
    assert.ok(ids.encode(0n, at + 1) > (made.at(-1) ?? ''))
  })

  it('cannot be used on another stream, with another key, or changed', () => {
    const ids = new RecordIds(key, stream)
    const id = ids.encode(5n, at)
    assert.equal(new RecordIds(key, `${stream.slice(0, -1)}2`).decode(id), undefined)
    assert.equal(new RecordIds(Buffer.alloc(32, 8), stream).decode(id), undefined)
    for (let i = 13; i < id.length; i++) {
      if (id[i] === '-') continue
      const other = id[i] === '0' ? '1' : '0'
      assert.equal(ids.decode(id.slice(0, i) + other + id.slice(i + 1)), undefined, `digit ${i}`)
    }
  })

  it('are told from what a publisher calls its records', () => {
    const ids = new RecordIds(key, stream)
    for (const text of [
      '',
      '111111111',
      '506d0a86-8f84-417a-a989-a995e6e40e23',
      'x'.repeat(1000),
      ids.encode(1n, at).toUpperCase(),
    ])
      assert.equal(ids.decode(text), undefined)
  })

  it('refuse an offset they cannot hold', () => {
    for (const offset of [-1n, maxIdOffset + 1n])
      assert.throws(() => new RecordIds(key, stream).encode(offset, at), RangeError)
  })
})

describe('uuidv7', () => {
  it('has the time and chance where RFC 9562 says', () => {
    const id = uuidv7(new Date(0x017f22e279b0), { bytes: (n) => Buffer.alloc(n, 0xff) })
    assert.equal(id, '017f22e2-79b0-7fff-bfff-ffffffffffff')
    assert.ok(isUuid(id) && !isUuid(`${id}0`) && !isUuid(id.toUpperCase()))
  })
})
