/**
 * Runs the pages of docs that are to be typed along: their ```sh blocks, one after the other in one folder, each with the
 * `millrace` of this clone. A ```text block behind one has lines that its output must have (… stands for anything), and a
 * block with title=NAME is written to that file.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { bin, temporaryFolder } from './fixtures/program.ts'

interface Block {
  readonly language: string
  readonly title: string | undefined
  readonly text: string
  readonly line: number
}

const blocksOf = (page: string): readonly Block[] => {
  const content = readFileSync(page, 'utf8')
  return [...content.matchAll(/^```(\w+)(?: title=(\S+))?\n([\s\S]*?)^```$/gm)].map((m) => ({
    language: m[1] as string,
    title: m[2],
    text: m[3] as string,
    line: content.slice(0, m.index).split('\n').length,
  }))
}

/** A line of expected output as a pattern. */
const patternOf = (line: string): RegExp =>
  new RegExp(
    line
      .trim()
      .split('…')
      .map((part) =>
        part
          .trim()
          .replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
          .replaceAll(/ +/g, ' +'),
      )
      .join('.*'),
  )

/** Ends the manager that a page starts in a folder, where the page did not come to do so. */
const managerOf = (folder: string): Disposable => ({
  [Symbol.dispose]: () => {
    try {
      const note = readFileSync(join(folder, '.millrace/manager.json'), 'utf8')
      process.kill((JSON.parse(note) as { readonly pid: number }).pid, 'SIGKILL')
    } catch {
      // There is none.
    }
  },
})

/** Runs a page; answers how many blocks were run. */
const runPage = (page: string): number => {
  using folder = temporaryFolder()
  const programs = join(folder.path, '.bin')
  const work = join(folder.path, 'work')
  mkdirSync(programs)
  mkdirSync(work)
  const millrace = join(programs, 'millrace')
  writeFileSync(millrace, `#!/bin/sh\nexec "${process.execPath}" "${bin}" "$@"\n`)
  chmodSync(millrace, 0o755)
  const { NODE_TEST_CONTEXT: _, FORCE_COLOR: __, ...env } = process.env
  const path = [programs, dirname(process.execPath), env['PATH']].join(delimiter)
  let cwd = work
  let output = ''
  let count = 0
  using _manager = managerOf(join(work, 'shop'))
  for (const block of blocksOf(page)) {
    const where = `${page}:${block.line}`
    if (block.title !== undefined) writeFileSync(join(cwd, block.title), block.text)
    else if (block.language === 'sh') {
      const script = `set -e\n${block.text}\npwd > '${join(folder.path, 'cwd')}'\n`
      const done = spawnSync('bash', ['-c', script], {
        cwd,
        env: { ...env, PATH: path },
        encoding: 'utf8',
        timeout: 60_000,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      assert.equal(done.status, 0, `${where}\n${done.stdout}${done.stderr}`)
      assert.doesNotMatch(done.stderr, /\n\s+at .*:\d+:\d+/, where)
      cwd = readFileSync(join(folder.path, 'cwd'), 'utf8').trimEnd()
      output = done.stdout
      count++
    } else if (block.language === 'text')
      for (const line of block.text.split('\n').filter((l) => l !== ''))
        assert.match(output, patternOf(line), `${where}: ${line}`)
  }
  return count
}

const docs = fileURLToPath(new URL('../../../docs/', import.meta.url))

test('the tutorial does what it says', () => {
  assert.ok(runPage(join(docs, 'tutorial.md')) >= 8)
})

test('share a stream does what it says', () => {
  assert.ok(runPage(join(docs, 'tutorial/share-a-stream.md')) >= 7)
})

test('from Meltano does what it says', () => {
  assert.ok(runPage(join(docs, 'how-to/from-meltano.md')) >= 3)
})

test('write an operation does what it says', () => {
  assert.ok(runPage(join(docs, 'how-to/write-an-operation.md')) >= 5)
})

test('resume and rewind does what it says', () => {
  assert.ok(runPage(join(docs, 'how-to/resume-and-rewind.md')) >= 8)
})

test('handle bad records does what it says', () => {
  assert.ok(runPage(join(docs, 'how-to/handle-bad-records.md')) >= 5)
})

test('write a persister does what it says', () => {
  assert.ok(runPage(join(docs, 'how-to/write-a-persister.md')) >= 3)
})

test('write a streamer does what it says', () => {
  assert.ok(runPage(join(docs, 'how-to/write-a-streamer.md')) >= 4)
})

test('read an HTTP API does what it says', () => {
  assert.ok(runPage(join(docs, 'how-to/read-an-http-api.md')) >= 5)
})

test('use a Singer tap does what it says', () => {
  assert.ok(runPage(join(docs, 'how-to/use-a-singer-tap.md')) >= 5)
})

test('use a Singer target does what it says', () => {
  assert.ok(runPage(join(docs, 'how-to/use-a-singer-target.md')) >= 3)
})
