import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { firstSentence } from './generate/llms.ts'
import { table } from './generate/parts/markdown.ts'

describe('generated pages', () => {
  it('take the first sentence of a page', () => {
    assert.equal(
      firstSentence('# T\n\n<!-- x. -->\n\n**Context.** [Moves](a.md)\ndata: on. And on.\n\nMore.'),
      'Moves data: on.',
    )
    assert.equal(firstSentence('# T\n\n| a | b |\n\n- x\n\nUses v1.2 of it. Then.'), 'Uses v1.2 of it.')
    assert.equal(firstSentence('# T'), '')
  })
  it('keep bars and line ends out of the cells of a table', () => {
    assert.equal(table(['a'], [['x|y\n z']]), '| a |\n| --- |\n| x\\|y z |')
  })
  it('name a generator that is not there', () => {
    const script = fileURLToPath(new URL('./generate.ts', import.meta.url))
    const done = spawnSync(process.execPath, [script, '--check', 'nothing'], { encoding: 'utf8' })
    assert.equal(done.status, 64)
    assert.match(done.stderr, /no generator is called nothing; there are manifest, /)
  })
})
