/** The pages for those who run a manager: every command of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runPage } from './fixtures/page.ts'

test('back up and restore does what it says', () => {
  assert.ok(runPage('how-to/back-up-and-restore.md') >= 5)
})

test('rotate secrets does what it says', () => {
  assert.ok(runPage('how-to/rotate-secrets.md') >= 7)
})
