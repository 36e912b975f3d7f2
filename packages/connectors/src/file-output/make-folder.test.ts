import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeFolder } from './make-folder.ts'

test('a folder is made with all above it, and twice', async () => {
  const home = mkdtempSync(join(tmpdir(), 'millrace-folder-'))
  try {
    await makeFolder(join(home, 'a/b/c'))
    await makeFolder(join(home, 'a/b/c'))
    assert.ok(existsSync(join(home, 'a/b/c')))
  } finally {
    rmSync(home, { recursive: true })
  }
})

test('a place where no folder can be made is an error, not a search without end', {
  skip: existsSync('/proc/self') ? false : 'needs /proc',
}, async () => {
  await assert.rejects(makeFolder('/proc/millrace/below'), {
    code: 'DESTINATION_REFUSED',
    message: /no folder can be made in \/proc/,
  })
})
