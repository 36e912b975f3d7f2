import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileTokenStore } from './token-store.ts'

const root = mkdtempSync(join(tmpdir(), 'millrace-token-'))
after(() => rmSync(root, { recursive: true, force: true }))

test('a kept token stands in for the configured one until another is configured, and only its owner reads it', async () => {
  const path = join(root, 'deep', 'token.json')
  const store = fileTokenStore(path)
  assert.equal(await store.load('first'), undefined)
  await store.save('first', 'rotated')
  assert.equal(await fileTokenStore(path).load('first\n'), 'rotated')
  assert.equal(await store.load('authorised anew'), undefined)
  assert.equal(statSync(path).mode & 0o777, 0o600)
})

test('a token file that cannot be used is refused, not taken for none', async () => {
  const path = join(root, 'broken.json')
  writeFileSync(path, '{"of":')
  await assert.rejects(fileTokenStore(path).load('x'), /token file .*broken.json: it is not JSON/)
})
