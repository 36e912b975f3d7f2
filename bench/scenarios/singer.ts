/** A tap and a target of somebody else, both in Python: by a plain pipe, and through our runner. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bin } from '../data.ts'
import type { Scenario, Subject } from '../harness.ts'
import { measureCommand, quoted } from '../processes.ts'
import { million, millionFile } from './programs.ts'

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))

const subject = (
  name: string,
  line: (scratch: string) => string,
  project?: (scratch: string, file: string) => object,
): Subject => ({
  name,
  sample: async (data) => {
    const scratch = mkdtempSync(join(data.dir, 'singer-'))
    const json = (file: string, value: object): void => writeFileSync(join(scratch, file), JSON.stringify(value))
    const file = millionFile(data)
    json('tap.json', { file })
    json('target.json', { file: join(scratch, 'out.jsonl') })
    if (project !== undefined) json('millrace.yaml', project(scratch, file))
    return await measureCommand(line(scratch), million)
  },
})

const run = (scratch: string): string =>
  `${quoted(process.execPath)} ${quoted(bin)} run both --quiet --cwd ${quoted(scratch)}`
const python = (name: string): readonly string[] => ['python3', fixture(name)]

export const singer: Scenario = {
  name: 'singer',
  title:
    'A Python tap into a Python target, by a plain pipe and through our runner (a million wide records, start-up included)',
  subjects: [
    subject(
      'a plain pipe',
      (scratch) =>
        `python3 ${quoted(fixture('tap.py'))} --config ${quoted(join(scratch, 'tap.json'))} | python3 ${quoted(fixture('target.py'))} --config ${quoted(join(scratch, 'target.json'))}`,
    ),
    subject('`exec` on both sides', run, (scratch, file) => ({
      version: 1,
      pipelines: {
        both: {
          from: { exec: python('tap.py'), config: { file } },
          to: { exec: python('target.py'), config: { file: join(scratch, 'out.jsonl') } },
        },
      },
    })),
    subject('`singer` on both sides: checked, with books', run, (scratch, file) => ({
      version: 1,
      pipelines: {
        both: {
          from: {
            streamer: 'singer',
            config: { command: python('tap.py'), discovery: 'never', config: { file } },
          },
          to: {
            persister: 'singer',
            config: { command: python('target.py'), config: { file: join(scratch, 'out.jsonl') } },
          },
        },
      },
    })),
  ],
  claims: [
    {
      path: 'a tap and a target of somebody else through our runner, `exec`',
      subject: '`exec` on both sides',
      baseline: 'a plain pipe',
      ratio: 0.95,
    },
    {
      path: 'the same through `singer`',
      subject: '`singer` on both sides: checked, with books',
      baseline: 'a plain pipe',
      ratio: 0.95,
    },
  ],
}
