/** Reads the first records of a source and stops it: no state moves, nothing is written. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  encodeJson,
  isObject,
  type Json,
  type JsonObject,
  MillraceError,
  type RecordMessage,
  readMessages,
  systemCode,
} from '@millrace/sdk'
import { childEnvironment, discoverCatalog, type Pipeline, resolveEnd } from '@millrace/server'
import { isSelected, substreamOf } from '../connector/catalog-schemas.ts'
import type { PipelinePrograms } from './programs.ts'

export interface PreviewOptions {
  readonly pipeline: Pipeline
  readonly programs: PipelinePrograms
  /** Records of each substream. */
  readonly limit: number
  readonly signal: AbortSignal
  /** A source that cannot be asked for its catalog is read for so long at most, in milliseconds. */
  readonly maxMs: number
  readonly onLog: (line: string) => void
}

/** The first records by substream, in the order of the catalog. */
export const previewSource = async (
  options: PreviewOptions,
): Promise<ReadonlyMap<string, readonly RecordMessage[]>> => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-preview-'))
  try {
    const { pipeline } = options
    const found = new Map<string, RecordMessage[]>()
    if (pipeline.from.kind === 'exec' && typeof pipeline.from.exec === 'string') {
      await read(options, folder, undefined, found)
      return found
    }
    const { commands, env, passOn } = options.programs
    const catalog = await discoverCatalog({
      pipeline,
      commands,
      env,
      passOn,
      signal: options.signal,
      onLog: options.onLog,
    })
    // One substream at a time, so that a large one does not keep the others waiting.
    for (const entry of (catalog['streams'] as readonly Json[]).filter(isObject).filter(isSelected)) {
      if (options.signal.aborted) throw new MillraceError('INTERRUPTED', {})
      found.set(substreamOf(entry), [])
      await read(options, folder, { ...catalog, streams: [entry] }, found)
    }
    return found
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const read = async (
  options: PreviewOptions,
  folder: string,
  catalog: JsonObject | undefined,
  found: Map<string, RecordMessage[]>,
): Promise<void> => {
  const { pipeline, programs, limit } = options
  const what = { what: `pipeline ${pipeline.name}, from`, places: 'the environment and .env' }
  const resolved = resolveEnd(pipeline.from, programs.env, what)
  const file = (name: string, value: JsonObject | undefined): string | undefined => {
    if (value === undefined) return undefined
    writeFileSync(join(folder, name), encodeJson(value), { mode: 0o600 })
    return join(folder, name)
  }
  const config = file('config.json', resolved.config)
  const chosen = file('catalog.json', catalog)
  const flags = [
    ...(config === undefined ? [] : ['--config', config]),
    ...(chosen === undefined ? [] : ['--catalog', chosen]),
  ]
  const { from } = pipeline
  const argv =
    from.kind === 'connector'
      ? [...programs.commands.streamer(from.name), 'sync', ...flags]
      : typeof from.exec === 'string'
        ? ['/bin/sh', '-c', from.exec]
        : [...from.exec, ...flags]
  const child = spawn(argv[0] as string, argv.slice(1), {
    cwd: pipeline.cwd,
    env: childEnvironment(
      programs.env,
      { ...resolved.env, ...(config === undefined ? {} : { MILLRACE_CONFIG: config }) },
      programs.passOn,
    ),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let tail = ''
  child.stderr.on('data', (chunk: Buffer) => {
    tail = (tail + chunk.toString()).slice(-4000)
  })
  let isEnough = false
  const ended = new Promise<{ readonly code: number | null; readonly error?: Error }>((done) => {
    child.on('error', (error) => done({ code: null, error }))
    child.on('close', (code) => done({ code }))
  })
  const end = (): void => {
    isEnough = true
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // It is gone.
    }
  }
  const timer = setTimeout(end, options.maxMs)
  options.signal.addEventListener('abort', end)
  try {
    for await (const messages of readMessages(child.stdout)) {
      for (const m of messages) {
        if (m.type !== 'RECORD') continue
        const kept = found.get(m.stream) ?? []
        found.set(m.stream, kept)
        if (kept.length < limit) kept.push(m)
      }
      if (catalog !== undefined && [...found.values()].every((r) => r.length >= limit)) end()
      if (isEnough) break
    }
  } catch (e) {
    // What was cut off by us may end in the middle.
    if (!isEnough) {
      end()
      throw e
    }
  } finally {
    clearTimeout(timer)
    options.signal.removeEventListener('abort', end)
  }
  const { code, error } = await ended
  if (isEnough) return
  if (error !== undefined)
    throw new MillraceError(
      'PROCESS_NOT_STARTED',
      { what: argv[0] as string, why: systemCode(error) ?? error.message },
      { cause: error },
    )
  if (code !== 0 && code !== null)
    throw new MillraceError('PROCESS_FAILED', { what: 'the streamer', why: `exit code ${code}: ${reasonOf(tail)}` })
}

/** The words of its last line. */
const reasonOf = (tail: string): string => {
  const line = tail.trim().split('\n').at(-1) ?? ''
  try {
    return String((JSON.parse(line) as { message?: unknown }).message ?? line)
  } catch {
    return line
  }
}
