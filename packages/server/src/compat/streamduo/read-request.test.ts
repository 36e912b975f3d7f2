import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { JsonObject } from '@millrace/sdk'
import { type ReadAsked, readAsked } from './read-request.ts'

/** A body as the SDK sends it: all fields, those that are not used null. */
const body = (fields: JsonObject): JsonObject => ({
  readRecordRequestType: null,
  recordCount: null,
  recordId: null,
  markAsRead: null,
  recordTimeStampISO: null,
  ...fields,
})

const good: readonly (readonly [JsonObject, ReadAsked])[] = [
  [
    { readRecordRequestType: 'SINGLE', recordId: 'a', recordCount: 1, markAsRead: false },
    { is: 'versions', id: 'a', count: 1, markRead: false },
  ],
  [
    { readRecordRequestType: 'SINGLE', recordId: 'a' },
    { is: 'versions', id: 'a', count: 1, markRead: false },
  ],
  [
    { readRecordRequestType: 'UNREAD', recordCount: 5, markAsRead: true },
    { is: 'unread', count: 5, markRead: true },
  ],
  [
    { readRecordRequestType: 'UNREAD', recordCount: '', markAsRead: 'true' },
    { is: 'unread', count: 100, markRead: true },
  ],
  [
    { readRecordRequestType: 'UNREAD', recordCount: '7', markAsRead: 'false' },
    { is: 'unread', count: 7, markRead: false },
  ],
  [
    { readRecordRequestType: 'LAST_N', recordCount: 99_999 },
    { is: 'last', count: 10_000, markRead: false },
  ],
  [
    { readRecordRequestType: 'READ_SINCE_TIMESTAMP', recordTimeStampISO: '2021-11-03T21:03', recordCount: 5 },
    { is: 'since', time: { ms: Date.UTC(2021, 10, 3, 21, 3), place: undefined }, count: 5, markRead: false },
  ],
  [
    { readRecordRequestType: 'READ_SINCE_RECORD_ID', recordId: 'x', recordCount: 2 },
    { is: 'since-record', id: 'x', count: 2, markRead: false },
  ],
  [
    { readRecordRequestType: 'SAMPLE', recordCount: 3 },
    { is: 'sample', count: 3, markRead: false },
  ],
]

const bad: readonly (readonly [unknown, RegExp])[] = [
  [[], /no JSON object/],
  [body({}), /readRecordRequestType must be one of SINGLE/],
  [body({ readRecordRequestType: 'ALL' }), /readRecordRequestType/],
  [body({ readRecordRequestType: 'SINGLE', recordId: '' }), /recordId is missing/],
  [body({ readRecordRequestType: 'UNREAD', recordCount: 0 }), /recordCount/],
  [body({ readRecordRequestType: 'UNREAD', recordCount: -3 }), /recordCount/],
  [body({ readRecordRequestType: 'UNREAD', recordCount: 1.5 }), /recordCount/],
  [body({ readRecordRequestType: 'UNREAD', recordCount: 'many' }), /recordCount/],
  [body({ readRecordRequestType: 'READ_SINCE_TIMESTAMP', recordTimeStampISO: 'then' }), /no time/],
]

describe('a read request of StreamDuo', () => {
  for (const [fields, expected] of good)
    it(`means what ${JSON.stringify(fields)} says`, () => {
      assert.deepEqual(readAsked(body(fields)), expected)
    })
  for (const [given, message] of bad)
    it(`is refused as ${JSON.stringify(given)}`, () => {
      assert.throws(() => readAsked(given as JsonObject), { code: 'REQUEST_INVALID', message })
    })
})
