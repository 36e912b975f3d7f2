/** How the runner starts our own connectors, and what it may pass on to them and keep of them. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { JsonObject, Persister, Streamer } from '@millrace/sdk'
import { type ConnectorCommands, type Pipeline, type PipelineEnd, projectEnvironment } from '@millrace/server'
import { findPersister, findStreamer } from '../connector/find.ts'

/** The program itself: `packages/cli/bin/millrace.mjs`, or the same in an installed package. */
export const programFile = (): string => fileURLToPath(new URL('../../bin/millrace.mjs', import.meta.url))

/** Whether this runs from a clone of the repository, where `npx millrace` finds it. */
export const isClone = (): boolean => existsSync(new URL('../../src/main.ts', import.meta.url))

/** What to write before a command that is shown to be typed: inside the clone, or beside its node_modules, npx finds it. */
export const typedProgram = (cwd: string): string => {
  const file = programFile()
  const installed = file.lastIndexOf('/node_modules/millrace/')
  const root = isClone()
    ? fileURLToPath(new URL('../../../../', import.meta.url))
    : installed < 0
      ? ''
      : file.slice(0, installed + 1)
  return root !== '' && `${cwd}/`.startsWith(root) ? 'npx millrace' : 'millrace'
}

/**
 * Left alone, Node lets the memory for young values grow: a streamer of a million CSV rows took 195 MB instead of 112,
 * and was no faster for it.
 */
const node = (): readonly string[] => [process.execPath, '--max-semi-space-size=16']

export const connectorCommands: ConnectorCommands = {
  streamer: (name) => [...node(), programFile(), 'streamer', name],
  persister: (name) => [...node(), programFile(), 'persister', name],
}

export interface PipelinePrograms {
  readonly commands: ConnectorCommands
  readonly env: Readonly<Record<string, string | undefined>>
  readonly passOn: readonly string[]
  readonly redact: (end: PipelineEnd) => JsonObject
}

/** Everything the runner needs to know of the programs of a pipeline. Throws REGISTRY_UNKNOWN, PROCESS_NOT_STARTED. */
export const programsOf = async (pipeline: Pipeline, dir: string): Promise<PipelinePrograms> => {
  const from = pipeline.from.kind === 'connector' ? await findStreamer(pipeline.from.name, pipeline.cwd) : undefined
  const to = pipeline.to.kind === 'connector' ? await findPersister(pipeline.to.name, pipeline.cwd) : undefined
  return {
    commands: connectorCommands,
    env: projectEnvironment(dir, process.env),
    passOn: [from, to].flatMap((c) => (c === undefined ? [] : Object.values(c.config).flatMap((f) => f.env ?? []))),
    redact: (end) => redacted(end, end === pipeline.from ? from : to),
  }
}

/** The configuration of an end without its secrets. Of a foreign program nothing is known, so only keys are kept. */
const redacted = (end: PipelineEnd, connector: Streamer | Persister | undefined): JsonObject => {
  const config = end.config ?? {}
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => {
      const field = connector?.config[key]
      const isOpen = field !== undefined && field.secret !== true
      const isReference = typeof value === 'string' && /^\$\{[^}]*\}$/.test(value)
      return [key, isOpen || isReference ? value : '***']
    }),
  )
}
