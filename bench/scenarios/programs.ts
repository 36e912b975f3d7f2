/** What is measured as a user runs it: whole programs, with their start. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { bin } from '../data.ts'
import type { DataFiles, Scenario, Subject } from '../harness.ts'
import { measureCommand, quoted } from '../processes.ts'
import { makeRepository } from '../repository.ts'

const millrace = `${quoted(process.execPath)} ${quoted(bin)}`

const command = (
  name: string,
  line: (d: DataFiles, scratch: string) => string,
  records?: (d: DataFiles) => number,
): Subject => ({
  name,
  sample: async (data) =>
    measureCommand(line(data, mkdtempSync(join(data.dir, 'run-'))), records?.(data) ?? data.records),
})

const hello = (d: DataFiles, shape: string, count: number = d.records): string =>
  `${millrace} streamer hello --shape ${shape} --count ${count}`

export const source: Scenario = {
  name: 'source',
  title: '`hello` as a source of load (through a pipe, start-up included)',
  subjects: [
    command(
      'hello, narrow, 5 million',
      (d) => `${hello(d, 'narrow', 5_000_000)} | cat`,
      () => 5_000_000,
    ),
    command(
      'hello, wide, 2 million',
      (d) => `${hello(d, 'wide', 2_000_000)} | cat`,
      () => 2_000_000,
    ),
  ],
  claims: [
    {
      path: '`hello`, narrow, at least 1,000,000 records/s',
      subject: 'hello, narrow, 5 million',
      baseline: 1_000_000,
      ratio: 1,
    },
  ],
}

export const convert: Scenario = {
  name: 'convert',
  title: '`convert` Singer → Singer (whole program)',
  subjects: [
    command('cat', (d) => `cat ${quoted(d.wide)} | cat`),
    command('convert, wide', (d) => `${millrace} convert --to singer < ${quoted(d.wide)}`),
  ],
  claims: [],
}

export const million = 1_000_000

/** A million wide records in a file, made once: long enough that start-up does not count. */
export const millionFile = (d: DataFiles): string => {
  const file = join(d.dir, 'million.singer')
  if (!existsSync(file))
    execFileSync('bash', ['-c', `${hello(d, 'wide', million)} > ${quoted(file)}`], { stdio: 'inherit' })
  return file
}

export const pipeline: Scenario = {
  name: 'pipeline',
  title: 'A whole pipeline, two processes (a million wide records, start-up included)',
  subjects: ['jsonl', 'sqlite', 'duckdb'].flatMap((name) => {
    const path = name === 'jsonl' ? 'out' : `out.${name}`
    const target = (scratch: string): string => `${millrace} persister ${name} --path ${quoted(join(scratch, path))}`
    return [
      command(
        `${name} alone, fed by cat`,
        (d, scratch) => `cat ${quoted(millionFile(d))} | ${target(scratch)}`,
        () => million,
      ),
      command(
        `hello | ${name}`,
        (d, scratch) => `${hello(d, 'wide', million)} | ${target(scratch)}`,
        () => million,
      ),
    ]
  }),
  claims: ['jsonl', 'sqlite', 'duckdb'].map((name) => ({
    path: `pipeline hello → ${name}, against its slower side alone`,
    subject: `hello | ${name}`,
    baseline: `${name} alone, fed by cat`,
    ratio: 0.8,
  })),
}

const repository = (d: DataFiles): string => {
  const dir = join(d.dir, 'repository')
  if (!existsSync(dir)) {
    mkdirSync(dir)
    makeRepository(dir, 20_000)
  }
  return dir
}
const commits = (d: DataFiles): number =>
  Number(execFileSync('git', ['-C', repository(d), 'rev-list', '--count', 'HEAD'], { encoding: 'utf8' }))

export const git: Scenario = {
  name: 'git',
  title: '`git` streamer, 20,000 commits',
  subjects: [
    command(
      'git log, the same fields',
      (d) =>
        `git -C ${quoted(repository(d))} log --all --topo-order --reverse -z --raw --numstat --no-abbrev -M --format=%H%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B | cat`,
      commits,
    ),
    command(
      'git streamer, commits and files',
      (d) => `${millrace} streamer git --path ${quoted(repository(d))} | cat`,
      commits,
    ),
  ],
  claims: [
    {
      path: '`git` streamer',
      subject: 'git streamer, commits and files',
      baseline: 'git log, the same fields',
      ratio: 0.5,
    },
  ],
}
