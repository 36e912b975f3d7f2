/** Asking the destination again whether it holds what the books say. */
import {
  encodeJson,
  type Evidence,
  isObject,
  type JsonObject,
  MillraceError,
  parseExact,
  type VerifyFinding,
} from '@millrace/sdk'
import { adHocPipeline, endIdentity, type Pipeline, type PipelineEnd } from '../domain/pipeline.ts'
import type { RunRecord, StandingEvidence, Store } from '../store/types.ts'
import { ask } from './ask.ts'
import { PrivateFolder } from './private-folder.ts'
import { programOf, resolveSide } from './program.ts'
import type { ProgramOptions } from './types.ts'

export interface VerifyOptions extends Omit<ProgramOptions, 'pipeline'> {
  readonly store: Store
  /** The run: its id or `latest`. */
  readonly run: string
  /** The pipeline as the project file has it; left out, as the run kept it. */
  readonly pipeline?: Pipeline
  readonly signal?: AbortSignal
  readonly graceMs?: number
  readonly onLog?: (line: string) => void
}

/** What was asked of one substream, and what was found. */
export interface SubstreamVerdict extends VerifyFinding {
  /** The rows that the evidence says. */
  readonly expected: number
  /** The run whose evidence was compared: the last one that wrote this substream there. */
  readonly evidenceOf: string
}

export interface VerifyReport {
  readonly run: string
  readonly pipeline: string
  readonly substreams: readonly SubstreamVerdict[]
  /** Substreams of this run that a later run wrote too: what the later one left was checked. */
  readonly overtaken: readonly string[]
}

/**
 * Asks the destination of a run what it holds of the substreams that the run wrote, and compares with the evidence. Where
 * later runs wrote to the same destination too, the evidence of the latest one for each substream stands, and
 * `overtaken` says so. Throws VERIFY_FAILED with every difference, RUN_UNKNOWN, CONFIG_INVALID where the run left no
 * evidence or its pipeline is not known any more, and what the program says of itself.
 */
export const verifyRun = async (options: VerifyOptions): Promise<VerifyReport> => {
  const { store } = options
  const run = store.getRun(options.run)
  const pipeline = options.pipeline ?? keptPipeline(run)
  if (endIdentity(pipeline.to, pipeline.cwd) !== run.destination)
    throw new MillraceError('CONFIG_INVALID', {
      what: `run ${run.id}`,
      problems: [`pipeline ${pipeline.name} writes to another destination by now`],
      fix: 'Verify a run made after the change.',
    })
  const written = new Set(store.evidence(run.id).map((e) => e.substream))
  const standing = store.standingEvidence(run.destination).filter((e) => written.has(e.substream))
  if (standing.length === 0) {
    throw new MillraceError('CONFIG_INVALID', {
      what: `run ${run.id}`,
      problems: ['it left no evidence: it wrote nothing, did not end well, or its persister gives none'],
      fix: 'Verify another run; `millrace runs` lists them.',
    })
  }
  const findings = await findingsOf(options, pipeline, standing)
  const substreams = standing.map((e): SubstreamVerdict => {
    const found = findings.find((f) => f.substream === e.substream)
    return {
      substream: e.substream,
      rows: found?.rows ?? 0,
      problems: found?.problems ?? ['the persister said nothing of it'],
      expected: e.rows,
      evidenceOf: e.run,
    }
  })
  const problems = substreams.flatMap((s) => s.problems.map((p) => `${s.substream}: ${p}`))
  if (problems.length > 0) throw new MillraceError('VERIFY_FAILED', { run: run.id, problems })
  return {
    run: run.id,
    pipeline: run.pipeline,
    substreams,
    overtaken: substreams.filter((s) => s.evidenceOf !== run.id).map((s) => s.substream),
  }
}

const findingsOf = async (
  options: VerifyOptions,
  pipeline: Pipeline,
  standing: readonly StandingEvidence[],
): Promise<readonly VerifyFinding[]> => {
  if (pipeline.to.kind === 'exec')
    throw new MillraceError('CONFIG_INVALID', {
      what: `pipeline ${pipeline.name}`,
      problems: ['a foreign persister cannot be asked again'],
      fix: 'Write to a persister of Millrace.',
    })
  const programs = { ...options, pipeline }
  using folder = new PrivateFolder()
  const evidence = folder.write(
    'evidence.json',
    encodeJson(standing.map(({ substream, rows, marks }): Evidence => ({ substream, rows, marks }))),
  )
  const program = programOf(programs, resolveSide(programs, 'to'), folder, {
    side: 'persister',
    command: 'verify',
    files: { evidence },
  })
  const text = await ask(program, folder, {
    signal: options.signal,
    graceMs: options.graceMs ?? 10_000,
    ...(options.onLog === undefined ? {} : { onLog: options.onLog }),
  })
  try {
    const value = parseExact(text)
    if (Array.isArray(value) && value.every(isFinding)) return value as unknown as readonly VerifyFinding[]
  } catch {
    // Told below.
  }
  throw new MillraceError('PROCESS_FAILED', { what: program.what, why: 'an answer that is no list of findings' })
}

const isFinding = (v: unknown): boolean =>
  isObject(v) && typeof v['substream'] === 'string' && typeof v['rows'] === 'number' && Array.isArray(v['problems'])

/** The pipeline that a run kept of itself. Throws CONFIG_INVALID where it kept none. */
const keptPipeline = (run: RunRecord): Pipeline => {
  const { definition } = run
  if (definition === undefined)
    throw new MillraceError('CONFIG_INVALID', {
      what: `run ${run.id}`,
      problems: [`pipeline ${run.pipeline} is not in the project file`],
      fix: 'Put it back into millrace.yaml.',
    })
  const end = (value: unknown): PipelineEnd => value as PipelineEnd
  return adHocPipeline({
    name: run.pipeline,
    cwd: String(definition['cwd']),
    from: end(definition['from'] as JsonObject),
    to: end(definition['to'] as JsonObject),
  })
}
