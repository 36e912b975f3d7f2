import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'

test('what every program starts with brings no HTTP client along', () => {
  // As an ES module node:http brings undici with it, a tenth of a second of every start: it is imported where it is used.
  const script = `await import(${JSON.stringify(new URL('./index.ts', import.meta.url).href)})
    console.log(process.moduleLoadList.filter((name) => /undici|NativeModule http$/.test(name)).join())`
  const loaded = execFileSync(process.execPath, ['--no-warnings', '--input-type=module', '-e', script], {
    encoding: 'utf8',
  })
  assert.equal(loaded.trim(), '')
})
