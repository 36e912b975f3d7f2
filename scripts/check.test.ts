import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { checkAssertions } from './check/assertions.ts'
import { checkHomes, unusedHomes } from './check/homes.ts'
import { checkCycles, checkLayers } from './check/layers.ts'
import { anchorOf, checkLinks, checkNamedPages } from './check/links.ts'
import { parseSource } from './check/sources.ts'

const one = (path: string, text: string) => [parseSource(path, text)]

describe('layers', () => {
  const refused: readonly (readonly [path: string, text: string, why: RegExp])[] = [
    ['packages/sdk/src/a.ts', `import { x } from '@millrace/server'`, /sdk may import only nothing of ours/],
    ['packages/sdk/src/a.ts', `import { parse } from 'yaml'`, /the sdk has no dependency/],
    ['packages/sdk/src/a.test.ts', `import pg from 'pg'`, /the sdk has no dependency/],
    ['packages/server/src/a.ts', `import { x } from '@millrace/connectors'`, /server may import only sdk, engine/],
    ['packages/server/src/a.ts', `const x = await import('@millrace/connectors')`, /server may import only/],
    ['packages/server/src/a.ts', `export { x } from '@millrace/cli'`, /server may import only/],
    ['packages/server/src/a.ts', `import { D } from '@duckdb/node-api'`, /server may use only .*yaml/],
    ['packages/cli/src/a.ts', `import { x } from '@millrace/sdk/src/message/json.ts'`, /not its inside/],
    ['packages/cli/src/a.ts', `import { x } from '@millrace/sdk/message'`, /not its inside/],
    ['packages/cli/src/a.ts', `import { x } from '@millrace/engine/errors'`, /not its inside/],
    ['packages/cli/src/a.ts', `import { x } from '../../sdk/src/index.ts'`, /leaves its package/],
    ['tests/e2e/a.test.ts', `import { x } from '../../packages/sdk/src/index.ts'`, /reaches into a package/],
    ['packages/server/src/domain/a.ts', `import type { x } from '../store/b.ts'`, /domain imports no sibling/],
  ]
  for (const [path, text, why] of refused) {
    it(`refuses ${text} in ${path}`, () => {
      const problems = checkLayers(one(path, text))
      assert.equal(problems.length, 1)
      assert.match(problems[0] ?? '', why)
    })
  }

  it('lets pass what the tables grant', () => {
    const good = [
      ...one(
        'packages/cli/src/a.ts',
        `import { a } from '@millrace/connectors'\nimport { Command } from 'commander'\nimport { b } from './b.ts'`,
      ),
      ...one('packages/engine/src/a.ts', `import { MillraceError } from '@millrace/sdk/errors'`),
      ...one('packages/connectors/src/x/a.ts', `import { D } from '@duckdb/node-api'\nimport fs from 'node:fs'`),
      ...one('packages/sdk/src/a.test.ts', `import { f } from 'fast-check'\nimport { s } from '@millrace/sdk/testing'`),
      ...one('packages/server/src/domain/a.ts', `import { b } from './b.ts'`),
    ]
    assert.deepEqual(checkLayers(good), [])
  })

  it('finds a cycle once, and not one of types or of what is loaded late', () => {
    const cycle = [
      ...one('packages/sdk/src/a.ts', `import { b } from './b.ts'\nexport const a = b`),
      ...one('packages/sdk/src/b.ts', `import { c } from './deep/c.ts'\nexport const b = c`),
      ...one('packages/sdk/src/deep/c.ts', `import { a } from '../a.ts'\nexport const c = () => a`),
    ]
    assert.deepEqual(checkCycles(cycle), [
      'packages/sdk/src/a.ts: import cycle: sdk/src/a.ts → sdk/src/b.ts → sdk/src/deep/c.ts → sdk/src/a.ts',
    ])
    const types = [
      ...one('packages/sdk/src/a.ts', `import type { B } from './b.ts'\nexport type A = B`),
      ...one('packages/sdk/src/b.ts', `import { type A } from './a.ts'\nexport type B = A`),
    ]
    assert.deepEqual(checkCycles(types), [])
    const late = [
      ...one('packages/sdk/src/a.ts', `export const a = () => import('./b.ts')`),
      ...one('packages/sdk/src/b.ts', `import { a } from './a.ts'\nexport const b = a`),
    ]
    assert.deepEqual(checkCycles(late), [])
  })
})

describe('homes', () => {
  it('finds the environment, the console, the clock and default exports outside their homes', () => {
    const text = `export const a = process.env['X']\nconsole.error(a)\nexport const b = Date.now() + +new Date()\nexport default a`
    const problems = checkHomes(one('packages/sdk/src/a.ts', text))
    assert.deepEqual(
      problems.map((p) => Number(p.split(':')[1])),
      [1, 2, 3, 3, 4],
    )
  })
  it('lets pass tests, the program, a date that was given, and the words in a text', () => {
    assert.deepEqual(checkHomes(one('packages/cli/src/a.ts', `process.env.X`)), [])
    assert.deepEqual(checkHomes(one('packages/sdk/src/a.test.ts', `console.log(Date.now())`)), [])
    assert.deepEqual(
      checkHomes(one('packages/sdk/src/a.ts', `const d = new Date(5) // console.log\nconst s = 'process.env'`)),
      [],
    )
  })
  it('tells a home that nobody lives in', () => {
    const list = [{ what: 'nothing', matches: () => false, homes: { 'packages/sdk/src/a.ts': 'why' } }]
    assert.equal(unusedHomes(one('packages/sdk/src/a.ts', ''), list).length, 1)
  })
})

describe('assertions', () => {
  const count = (text: string): number => checkAssertions(one('packages/sdk/src/a.test.ts', text)).length
  it('finds a test that asserts nothing, also through a function', () => {
    assert.equal(count(`it('x', () => { run() })`), 1)
    assert.equal(count(`const go = () => run()\ntest('x', async (t) => { t.after(() => {}); await go() })`), 1)
    assert.equal(count(`it('x', () => { // assert.ok(1)\n })`), 1)
  })
  it('knows the ways to assert', () => {
    assert.equal(count(`it('x', () => { assert.equal(1, 1) })`), 0)
    assert.equal(count(`it('x', (t) => { t.assert.equal(1, 1) })`), 0)
    assert.equal(count(`const proof = () => { assert(1) }\nit('x', { timeout: 1 }, () => proof())`), 0)
    assert.equal(count(`it('x', () => expectLines([]))\nstreamerSuite(git)`), 0)
  })
})

describe('links', () => {
  it('finds a file and a heading that are not there, and reads no code', async (t) => {
    const root = mkdtempSync(join(tmpdir(), 'millrace-links-'))
    t.after(() => rmSync(root, { recursive: true, force: true }))
    mkdirSync(join(root, 'docs'))
    writeFileSync(join(root, 'docs/b.md'), '# One `two` (three)\n')
    writeFileSync(
      join(root, 'a.md'),
      '[ok](docs/b.md#one-two-three) [web](https://x.y/z) `[c](gone.md)`\n```sh\n[d](gone.md)\n```\n[e](gone.md)\n[f](docs/b.md#four) [g](../up.md)\n',
    )
    assert.deepEqual(await checkLinks(root), [
      'a.md:5: gone.md: there is no such file',
      'a.md:6: docs/b.md#four: there is no such heading',
      'a.md:6: ../up.md: leaves the repository',
    ])
    assert.equal(anchorOf('The `run` form: a [pipe](x.md), twice'), 'the-run-form-a-pipe-twice')
  })
})

describe('pages that the code names', () => {
  it('are there', (t) => {
    const root = mkdtempSync(join(tmpdir(), 'millrace-pages-'))
    t.after(() => rmSync(root, { recursive: true, force: true }))
    mkdirSync(join(root, 'docs'))
    writeFileSync(join(root, 'docs/b.md'), '')
    const named = one('packages/sdk/src/a.ts', "// See docs/b.md.\nexport const fix = 'Read docs/gone/c.md.'")
    assert.deepEqual(checkNamedPages(root, named), [
      'packages/sdk/src/a.ts:2: names docs/gone/c.md, which is not there',
    ])
  })
})

describe('scripts/check.ts', () => {
  it('runs the steps asked for and names an unknown one', () => {
    const script = fileURLToPath(new URL('./check.ts', import.meta.url))
    const done = spawnSync(process.execPath, [script, 'assertions'], { encoding: 'utf8' })
    assert.match(done.stdout, /^✔ assertions {2}[\d.]+ s\n1 check passed\n$/)
    const none = spawnSync(process.execPath, [script, 'nothing'], { encoding: 'utf8' })
    assert.equal(none.status, 64)
    assert.match(none.stderr, /no step is called nothing; there are types, unused/)
  })
})
