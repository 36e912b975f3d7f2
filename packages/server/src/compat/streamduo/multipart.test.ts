import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { boundaryOf, formField } from './multipart.ts'

const form = (fields: readonly (readonly [string, Uint8Array])[], boundary: string): Buffer =>
  Buffer.concat([
    ...fields.flatMap(([head, bytes]) => [Buffer.from(`--${boundary}\r\n${head}\r\n\r\n`), bytes, Buffer.from('\r\n')]),
    Buffer.from(`--${boundary}--\r\n`),
  ])
const file = 'Content-Disposition: form-data; name="file"; filename="file"'

describe('a part in a form', () => {
  it('is found whatever its bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        assert.deepEqual(formField(form([[file, bytes]], 'b0undary'), 'b0undary', 'file'), Buffer.from(bytes))
      }),
    )
  })

  it('may hold line ends, dashes and most of the boundary', () => {
    const bytes = Buffer.from('\r\n--b0undar\r\n\r\n--\r\n')
    assert.deepEqual(formField(form([[file, bytes]], 'b0undary'), 'b0undary', 'file'), bytes)
  })

  it('is found behind other fields, and with other headers', () => {
    const body = form(
      [
        ['Content-Disposition: form-data; name="note"', Buffer.from('x')],
        [
          'Content-Type: application/octet-stream\r\ncontent-disposition: form-data; filename="a;b"; name=file',
          Buffer.from('y'),
        ],
      ],
      'q',
    )
    assert.equal(formField(body, 'q', 'file').toString(), 'y')
  })

  for (const [what, body] of [
    ['without the field', form([['Content-Disposition: form-data; name="other"', Buffer.from('x')]], 'q')],
    ['that is cut off in the field', form([[file, Buffer.from('x'.repeat(50))]], 'q').subarray(0, 90)],
    ['that is cut off in a head', Buffer.from(`--q\r\n${file}`)],
    ['without its boundary', Buffer.from('hello')],
    ['that is empty', Buffer.alloc(0)],
    ['with a head that does not end', Buffer.from(`--q\r\n${'x'.repeat(20_000)}\r\n\r\n\r\n--q--`)],
  ] as const)
    it(`is not found in a form ${what}`, () => {
      assert.throws(() => formField(body, 'q', 'file'), { code: 'REQUEST_INVALID' })
    })

  for (const [type, expected] of [
    ['multipart/form-data; boundary=abc', 'abc'],
    ['multipart/form-data; charset=utf-8; boundary="a b"', 'a b'],
    ['multipart/form-data', undefined],
    ['application/json', undefined],
    [undefined, undefined],
  ] as const)
    it(`has the boundary ${expected} of ${type}`, () => {
      if (expected === undefined) assert.throws(() => boundaryOf(type), { code: 'REQUEST_INVALID' })
      else assert.equal(boundaryOf(type), expected)
    })
})
