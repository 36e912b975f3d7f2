/** What is said of the books: that they close is only said where it was looked for, and found. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Books } from '@millrace/sdk'
import { styleFor } from '../terminal/style.ts'
import { booksTable } from './show-run.ts'

const account = (records: number) => ({ records, bytes: records, digest: `${records}`.padStart(16, '0') })
const books = (emitted: number, received: number, stored: number = received): Books => ({
  orders: {
    emitted: account(emitted),
    received: account(received),
    stored: account(stored),
    filtered: account(0),
    deadLettered: account(0),
  },
})
const said = (of: Books, complete: boolean, kept?: boolean): string =>
  booksTable(of, {
    style: styleFor({}, { NO_COLOR: '1' }),
    width: 200,
    complete,
    ...(kept === undefined ? {} : { kept }),
  })

test('a run that came to its end closes its books, or says what is open', () => {
  assert.match(said(books(5, 5), true), /^The books close: emitted = stored/m)
  assert.match(said(books(5, 4), true), /^The books do not close: orders: 5 emitted, 4 received/m)
})

test('a run that was cut short says that what it received is settled, and no more', () => {
  const text = said(books(131_562, 100_000), false)
  assert.doesNotMatch(text, /books close/)
  assert.match(text, /^Settled: received = stored \+ filtered \+ set aside\./m)
  assert.match(said(books(5, 4, 3), false), /^Not settled when it ended: orders: 4 received, but 3 stored/m)
})

test('a persister of somebody else keeps no books, and none are said to be open or closed', () => {
  for (const complete of [true, false]) {
    assert.match(said(books(30_000, 0), complete, false), /^No books: a persister of somebody else keeps none/m)
    // As `runs show` has it, which knows the accounts alone.
    assert.match(said(books(30_000, 0), complete), /^No books/m)
  }
  assert.match(said(books(0, 0), true), /^The books close/m)
})
