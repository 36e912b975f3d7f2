/**
 * The harness: every measurement is a fresh process that measures itself from its first byte to its last, so that
 * nothing warms up or fills the heap of another. Subject and baseline alternate in one run, and only ratios of one
 * run are claimed.
 */
import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** One measurement. */
export interface Sample {
  readonly records: number
  readonly seconds: number
  /** User and system time of the process and its children. */
  readonly cpuSeconds: number
  readonly maxRssMiB: number
}

/** Something that can be measured: a body that moves `records` records. */
export type Subject =
  | {
      readonly name: string
      /** What is made ready before the clock starts. */
      readonly prepare?: (data: DataFiles) => Promise<unknown>
      readonly run: (data: DataFiles, prepared: unknown) => Promise<number>
      /** What is done when the clock has stopped. */
      readonly cleanUp?: (prepared: unknown) => void | Promise<void>
    }
  | {
      readonly name: string
      /** A subject made of processes that it starts itself: it measures them and answers the sample. */
      readonly sample: (data: DataFiles) => Promise<Sample>
    }

/** Moves the records of a file and answers how many there were. */
export type Run = (data: DataFiles, prepared: unknown) => Promise<number>

/** What a path must reach: `subject` at least `ratio` times `baseline` (a subject, or a fixed rate in records/s). */
export interface Claim {
  readonly path: string
  readonly subject: string
  readonly baseline: string | number
  readonly ratio: number
}

export interface Scenario {
  readonly name: string
  readonly title: string
  readonly subjects: readonly Subject[]
  readonly claims: readonly Claim[]
}

/** The files a run works on; made by the `hello` streamer, deterministic. */
export interface DataFiles {
  readonly dir: string
  readonly wide: string
  readonly narrow: string
  readonly updates: string
  readonly records: number
}

export interface Result {
  readonly subject: string
  readonly median: Sample
  readonly samples: readonly Sample[]
}

/** Measures every subject `rounds` times, in turns. */
export const measure = async (scenario: Scenario, data: DataFiles, rounds: number): Promise<readonly Result[]> => {
  const samples = new Map<string, Sample[]>(scenario.subjects.map((s) => [s.name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const subject of scenario.subjects)
      samples.get(subject.name)?.push(await inFreshProcess(scenario.name, subject.name, data))
  }
  return scenario.subjects.map((s) => {
    const all = (samples.get(s.name) ?? []).toSorted((a, b) => a.seconds - b.seconds)
    return { subject: s.name, median: all[Math.floor(all.length / 2)] as Sample, samples: all }
  })
}

const inFreshProcess = (scenario: string, subject: string, data: DataFiles): Promise<Sample> =>
  new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [
        '--disable-warning=ExperimentalWarning',
        fileURLToPath(new URL('./measure-one.ts', import.meta.url)),
        scenario,
        subject,
        JSON.stringify(data),
      ],
      // As bin/millrace.mjs has it: a thread that is started while the clock runs is compiled once.
      { stdio: ['ignore', 'ignore', 'inherit', 'pipe'], env: { NODE_COMPILE_CACHE: compileCache, ...process.env } },
    )
    let said = ''
    child.stdio[3]?.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0 && said !== '') resolve(JSON.parse(said) as Sample)
      else reject(new Error(`${scenario}/${subject} ended with ${code}`))
    })
  })

const compileCache = join(tmpdir(), 'node-compile-cache')

/** Records a second of a sample. */
export const rate = (s: Sample): number => s.records / s.seconds
