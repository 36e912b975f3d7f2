/**
 * `npm run bench [-- NAME…] [--records N] [--rounds N]`: measures the scenarios, prints their tables, and, when all of
 * them ran with the defaults, writes docs/benchmarks.md. Exits 1 where a claim is not reached.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeData } from './data.ts'
import { type Claim, measure, type Result, rate, type Scenario } from './harness.ts'
import { loadScenario, scenarioNames } from './scenarios/index.ts'

const readArguments = () => {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { records: { type: 'string', default: '500000' }, rounds: { type: 'string', default: '3' } },
    })
  } catch {
    console.error(`usage: npm run bench -- [NAME…] [--records N] [--rounds N]; there are: ${scenarioNames.join(', ')}`)
    return process.exit(64)
  }
}
const { values, positionals } = readArguments()
const wanted = scenarioNames.filter((name) => positionals.length === 0 || positionals.includes(name))
if (wanted.length === 0) {
  console.error(`no such scenario; there are: ${scenarioNames.join(', ')}`)
  process.exit(64)
}
const chosen = (await Promise.all(wanted.map(loadScenario))).filter((s) => s !== undefined)
if (chosen.length === 0) {
  console.error(`what it measures against is not there: ${wanted.join(', ')}`)
  process.exit(64)
}

interface Verdict {
  readonly claim: Claim
  readonly ratio: number
}

const thousands = (n: number): string => Math.round(n).toLocaleString('en-US')
const perMillion = (r: Result): string => ((r.median.cpuSeconds / r.median.records) * 1e6).toFixed(2)

const tableOf = (results: readonly Result[]): string =>
  [
    '| what | records/s | CPU s per million | peak MiB |',
    '| --- | ---: | ---: | ---: |',
    ...results.map(
      (r) => `| ${r.subject} | ${thousands(rate(r.median))} | ${perMillion(r)} | ${Math.round(r.median.maxRssMiB)} |`,
    ),
  ].join('\n')

const judge = (scenario: Scenario, results: readonly Result[]): readonly Verdict[] =>
  scenario.claims.map((claim) => {
    const of = (name: string | number): number => {
      if (typeof name === 'number') return name
      const result = results.find((r) => r.subject === name)
      if (result === undefined) throw new Error(`claim names no subject: ${name}`)
      return rate(result.median)
    }
    return { claim, ratio: of(claim.subject) / of(claim.baseline) }
  })

const verdictTable = (verdicts: readonly Verdict[]): string =>
  [
    '| path | measured | at least |',
    '| --- | ---: | ---: |',
    ...verdicts.map(
      (v) =>
        `| ${v.claim.path} | ${v.ratio.toFixed(2)} ×${v.ratio < v.claim.ratio ? ' **missed**' : ''} | ${v.claim.ratio} × |`,
    ),
  ].join('\n')

const dir = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
try {
  const data = await makeData(dir, Number(values.records))
  const parts: string[] = []
  const all: Verdict[] = []
  for (const scenario of chosen) {
    const results = await measure(scenario, data, Number(values.rounds))
    const verdicts = judge(scenario, results)
    all.push(...verdicts)
    const part = `## ${scenario.title}\n\n${tableOf(results)}\n`
    console.log(`${part}\n${verdictTable(verdicts)}\n`)
    parts.push(part)
  }
  if (positionals.length === 0) writePage(parts, all)
  if (all.some((v) => v.ratio < v.claim.ratio)) process.exitCode = 1
} finally {
  rmSync(dir, { recursive: true, force: true })
}

function writePage(parts: readonly string[], verdicts: readonly Verdict[]): void {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  const page = `# Benchmarks

Written by \`npm run bench\` at commit ${commit}, on ${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}.
Every figure is the median of ${values.rounds} fresh processes; subject and baseline take turns in one run. The mix: *wide* is 12 fields,
about 350 bytes a record (unicode, a date, a nested object, an array), *narrow* 3 fields, *updates* wide with 30 % updates; a STATE
every 10,000 records; ${thousands(Number(values.records))} records. CPU seconds count all threads and children: a fast path that burns both cores is not fast.

## What is claimed

${verdictTable(verdicts)}

${parts.join('\n')}`
  mkdirSync('docs', { recursive: true })
  writeFileSync('docs/benchmarks.md', page)
  console.log('written: docs/benchmarks.md')
}
