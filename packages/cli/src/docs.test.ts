/** The tutorials, and the pages for those who run pipelines: every command of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runPage } from './fixtures/page.ts'

test('the tutorial does what it says', () => {
  assert.ok(runPage('tutorial.md') >= 8)
})

test('share a stream does what it says', () => {
  assert.ok(runPage('tutorial/share-a-stream.md') >= 7)
})

test('from Meltano does what it says', () => {
  assert.ok(runPage('how-to/from-meltano.md') >= 3)
})

test('resume and rewind does what it says', () => {
  assert.ok(runPage('how-to/resume-and-rewind.md') >= 8)
})

test('handle bad records does what it says', () => {
  assert.ok(runPage('how-to/handle-bad-records.md') >= 5)
})

test('use a Singer target does what it says', () => {
  assert.ok(runPage('how-to/use-a-singer-target.md') >= 3)
})
