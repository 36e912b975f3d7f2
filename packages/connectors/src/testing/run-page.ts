/**
 * Runs a page of docs/how-to: its blocks one after the other, with the programs of this clone and servers of the test in place of those
 * that it names. What a block exports the later ones have.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const docs = fileURLToPath(new URL('../../../../docs/how-to/', import.meta.url))
const bins = fileURLToPath(new URL('../../../cli/bin/', import.meta.url))

/** What a page is run with. */
export interface Page {
  readonly env: Readonly<Record<string, string>>
  readonly replace?: Readonly<Record<string, string>>
}

/** Runs a page; answers how many of its blocks were run. */
export const runPage = async (name: string, page: Page): Promise<number> => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace page '))
  const [programs, work, exported] = [join(folder, 'bin'), join(folder, 'work'), join(folder, 'env')]
  mkdirSync(programs)
  mkdirSync(work)
  for (const program of ['millrace', 'stream-github', 'persist-stitch']) {
    writeFileSync(join(programs, program), `#!/bin/sh\nexec "${process.execPath}" "${bins}${program}.mjs" "$@"\n`)
    chmodSync(join(programs, program), 0o755)
  }
  writeFileSync(exported, '')
  const path = [programs, dirname(process.execPath), process.env['PATH']].join(delimiter)
  let output = ''
  let count = 0
  try {
    let text = readFileSync(join(docs, name), 'utf8')
    for (const [from, to] of Object.entries(page.replace ?? {})) text = text.replaceAll(from, to)
    for (const [, language, title, block = ''] of text.matchAll(/^```(\w+)(?: title=(\S+))?\n([\s\S]*?)^```$/gm)) {
      if (title !== undefined) writeFileSync(join(work, title), block)
      else if (language === 'text') {
        for (const line of block.split('\n').filter((l) => l !== ''))
          assert.match(output, patternOf(line), `${name}: ${line}`)
      } else {
        count++
        const ended = await bash(`. '${exported}'; set -eo pipefail\n${block}\nexport -p > '${exported}'`, {
          cwd: work,
          env: { PATH: path, HOME: folder, ...page.env },
        })
        assert.equal(ended.code, 0, `${name}:\n${block}\n${ended.stdout}${ended.stderr}`)
        output = ended.stdout
      }
    }
    return count
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const bash = async (
  script: string,
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> => {
  const child = spawn('bash', ['-c', script], { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  const text = async (from: AsyncIterable<Buffer>): Promise<string> =>
    Buffer.concat(await Array.fromAsync(from)).toString()
  const ended = new Promise<number | null>((done) => child.on('close', done))
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { code, stdout, stderr }
}

/** A line of expected output as a pattern; … stands for anything. */
const patternOf = (line: string): RegExp =>
  new RegExp(
    line
      .trim()
      .split('…')
      .map((p) => p.trim().replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*'),
  )
