import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseStateFile } from './state-file.ts'

test('reads every form a state file comes in', () => {
  for (const [text, expected] of [
    ['', undefined],
    [' \n\n', undefined],
    ['{"a":1}', { a: 1 }],
    ['\uFEFF{"a":1}\n', { a: 1 }],
    ['{\n  "a": 1\n}\n', { a: 1 }],
    ['{"a":1}\n{"a":2}\n', { a: 2 }],
    ['{"a":1}\r\n{"a":2}\r\n\r\n', { a: 2 }],
    ['{"a":1}\n{"a":2}', { a: 2 }],
    ['{"a":1}\n{"a":2', { a: 1 }],
    ['{"a":1}\n{"a":2}\n{', { a: 2 }],
    ['garbage\n{"a":2}\n', { a: 2 }],
    ['2016-11-01T17:15:02Z\n', '2016-11-01T17:15:02Z'],
    ['"2016-11-01T17:15:02Z"\n', '2016-11-01T17:15:02Z'],
    ['12345678901234567890\n', 12345678901234567890n],
  ] as const)
    assert.deepEqual(parseStateFile(text, 'state.json'), expected, JSON.stringify(text))
})

test('refuses what it cannot read', () => {
  for (const text of ['{"a":1', 'garbage\n', '2016-11-01T17:15:0', '{"a":1}\n{"a":2\n', '{"a":1}\n{"a\n{"a":3'])
    assert.throws(() => parseStateFile(text, 'state.json'), { code: 'STATE_UNREADABLE' }, JSON.stringify(text))
})
