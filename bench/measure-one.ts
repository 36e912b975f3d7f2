/** Measures one subject in this process and says so on descriptor 3. Started by harness.ts. */
import { writeSync } from 'node:fs'
import type { DataFiles, Sample } from './harness.ts'
import { loadScenario } from './scenarios/index.ts'

const [scenarioName, subjectName, data] = process.argv.slice(2) as [string, string, string]
const subject = (await loadScenario(scenarioName))?.subjects.find((s) => s.name === subjectName)
if (subject === undefined) throw new Error(`no subject ${scenarioName}/${subjectName}`)
const files = JSON.parse(data) as DataFiles

const measureHere = async (
  prepare: ((d: DataFiles) => Promise<unknown>) | undefined,
  run: (d: DataFiles, prepared: unknown) => Promise<number>,
  cleanUp: ((prepared: unknown) => void | Promise<void>) | undefined,
): Promise<Sample> => {
  const prepared = await prepare?.(files)
  const cpu = process.cpuUsage()
  const started = performance.now()
  const records = await run(files, prepared)
  const seconds = (performance.now() - started) / 1000
  const used = process.cpuUsage(cpu)
  await cleanUp?.(prepared)
  return {
    records,
    seconds,
    cpuSeconds: (used.user + used.system) / 1e6,
    maxRssMiB: process.resourceUsage().maxRSS / 1024,
  }
}

const sample =
  'sample' in subject ? await subject.sample(files) : await measureHere(subject.prepare, subject.run, subject.cleanUp)
writeSync(3, JSON.stringify(sample))
process.exit(0)
