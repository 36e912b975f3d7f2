import { execFileSync } from 'node:child_process'
import { mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bin } from '../data.ts'
import type { DataFiles, Sample, Scenario } from '../harness.ts'
import { measureCommand, quoted } from '../processes.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const node = quoted(process.execPath)

/** The program as it is installed, made once. */
const packed = (dir: string): string => {
  made ??= make(dir)
  return made
}
let made: string | undefined
const make = (dir: string): string => {
  const folder = mkdtempSync(join(dir, 'installed-'))
  const to = join(folder, 'millrace')
  execFileSync(process.execPath, [join(root, 'scripts/pack.ts'), 'make', to], { stdio: 'inherit' })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  return join(to, 'bin/millrace.mjs')
}

const nothingToDo = async (data: DataFiles, program: string): Promise<Sample> => {
  const dir = mkdtempSync(join(data.dir, 'nothing-'))
  writeFileSync(join(dir, 'empty.jsonl'), '')
  writeFileSync(
    join(dir, 'millrace.yaml'),
    'version: 1\npipelines:\n  nothing:\n    from: { streamer: files, config: { path: empty.jsonl } }\n    to: { persister: sqlite, config: { path: out.sqlite } }\n',
  )
  const run = `cd ${quoted(dir)} && ${node} ${quoted(program)} run nothing`
  await measureCommand(run, 1)
  return await measureCommand(run, 1)
}

/** Times a second, so that more is better as everywhere: 1 / 0.150 s is the claim of 150 ms. */
export const startup: Scenario = {
  name: 'startup',
  title: 'Start-up (times a second; one run counts as one record)',
  subjects: [
    { name: 'node -e 0', sample: () => measureCommand(`${node} -e 0`, 1) },
    { name: 'millrace --help', sample: (data) => measureCommand(`${node} ${quoted(packed(data.dir))} --help`, 1) },
    { name: 'a pipeline with nothing to do', sample: (data) => nothingToDo(data, packed(data.dir)) },
    { name: 'the same from the sources', sample: (data) => nothingToDo(data, bin) },
  ],
  claims: [
    {
      path: '`millrace --help` under 150 ms (times a second)',
      subject: 'millrace --help',
      baseline: 1 / 0.15,
      ratio: 1,
    },
    {
      path: 'a pipeline with nothing to do under 500 ms (times a second)',
      subject: 'a pipeline with nothing to do',
      baseline: 1 / 0.5,
      ratio: 1,
    },
  ],
}
