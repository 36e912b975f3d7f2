import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { it } from 'node:test'
import { errorCodes } from '@millrace/sdk'
import { errorsPage } from './errors-page.ts'

it('docs/reference/errors.md is what the error table makes', async () => {
  const page = await readFile(new URL('../../docs/reference/errors.md', import.meta.url), 'utf8')
  assert.equal(page, errorsPage(), 'npm run generate errors-page')
})

it('every code has exactly one row, and no row is dead', () => {
  const documented = [...errorsPage().matchAll(/^\| `([A-Z0-9_]+)` \|/gm)].map((m) => m[1])
  assert.deepEqual(documented, [...errorCodes])
})
