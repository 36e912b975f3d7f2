import { execFileSync, spawnSync } from 'node:child_process'

/** Fills an empty folder with a git repository of `commits` commits, each changing two files of a hundred; deterministic. */
export const makeRepository = (dir: string, commits: number): void => {
  execFileSync('git', ['init', '-q', '-b', 'main', dir])
  const parts: string[] = []
  for (let i = 1; i <= commits; i++) {
    const message = `Change ${i}: naïve café ${'words '.repeat(i % 12)}\n\nBody of ${i}.\n`
    const content = (n: number): string =>
      `file ${n}\n${Array.from({ length: 20 }, (_, k) => `line ${k} ${k === i % 20 ? i : n}`).join('\n')}\n`
    parts.push(
      `commit refs/heads/main\nmark :${i}\n`,
      `author A${i % 7} U Thor <a${i % 7}@example.com> ${1_700_000_000 + i * 60} +0${i % 10}00\n`,
      `committer C O Mitter <c@example.com> ${1_700_000_000 + i * 60} +0000\n`,
      `data ${Buffer.byteLength(message)}\n${message}`,
      i > 1 ? `from :${i - 1}\n` : '',
    )
    for (const n of [i % 100, (i * 31) % 100])
      parts.push(`M 100644 inline src/file-${n}.txt\ndata ${Buffer.byteLength(content(n))}\n${content(n)}\n`)
  }
  const done = spawnSync('git', ['-C', dir, 'fast-import', '--quiet'], { input: parts.join('') })
  if (done.status !== 0) throw new Error(`git fast-import: ${done.stderr.toString()}`)
}
