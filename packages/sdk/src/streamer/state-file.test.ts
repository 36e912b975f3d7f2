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

test('takes the state out of a whole message and of what Meltano keeps', () => {
  // `tail -1` of what a streamer wrote was taken for a state that says nothing: everything was read anew.
  for (const [text, expected] of [
    ['{"type":"STATE","value":{"a":12345678901234567890}}\n', { a: 12345678901234567890n }],
    ['{"type":"BOOKMARK","value":"2016-11-01T17:15:02Z"}', '2016-11-01T17:15:02Z'],
    ['{"type":"STATE","value":{"a":1}}\n{"type":"STATE","value":{"a":2}}\n', { a: 2 }],
    ['{"singer_state":{"bookmarks":{"a":{}}}}', { bookmarks: { a: {} } }],
    ['{"bookmarks":{},"singer_state":1}', { bookmarks: {}, singer_state: 1 }],
    ['{"type":"STATE"}', { type: 'STATE' }],
  ] as const)
    assert.deepEqual(parseStateFile(text, 'state.json'), expected, text)
  for (const text of [
    'null\n',
    '{"a":1}\nnull\n',
    '{"type":"STATE","value":null}',
    '{"type":"RECORD","stream":"a","record":{}}',
  ])
    assert.throws(() => parseStateFile(text, 'state.json'), { code: 'STATE_UNREADABLE' }, text)
})
