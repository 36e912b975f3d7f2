/** The pages for those who write or connect programs: every command of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runPage } from './fixtures/page.ts'

test('write an operation does what it says', () => {
  assert.ok(runPage('how-to/write-an-operation.md') >= 5)
})

test('write a persister does what it says', () => {
  assert.ok(runPage('how-to/write-a-persister.md') >= 3)
})

test('write a streamer does what it says', () => {
  assert.ok(runPage('how-to/write-a-streamer.md') >= 4)
})

test('read an HTTP API does what it says', () => {
  assert.ok(runPage('how-to/read-an-http-api.md') >= 5)
})

test('use a Singer tap does what it says', () => {
  assert.ok(runPage('how-to/use-a-singer-tap.md') >= 5)
})
