import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bin } from '../data.ts'
import type { Scenario } from '../harness.ts'
import { measureCommand, quoted } from '../processes.ts'

const millrace = `${quoted(process.execPath)} ${quoted(bin)}`

/** Times a second, so that more is better as everywhere: 1 / 0.150 s is the claim of 150 ms. */
export const startup: Scenario = {
  name: 'startup',
  title: 'Start-up (times a second; one run counts as one record)',
  subjects: [
    { name: 'node -e 0', sample: () => measureCommand(`${quoted(process.execPath)} -e 0`, 1) },
    { name: 'millrace --help', sample: () => measureCommand(`${millrace} --help`, 1) },
    {
      name: 'a pipeline with nothing to do',
      sample: async (data) => {
        const dir = mkdtempSync(join(data.dir, 'nothing-'))
        writeFileSync(join(dir, 'empty.jsonl'), '')
        writeFileSync(
          join(dir, 'millrace.yaml'),
          'version: 1\npipelines:\n  nothing:\n    from: { streamer: files, config: { path: empty.jsonl } }\n    to: { persister: sqlite, config: { path: out.sqlite } }\n',
        )
        const run = `cd ${quoted(dir)} && ${millrace} run nothing`
        await measureCommand(run, 1)
        return measureCommand(run, 1)
      },
    },
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
