/**
 * The vocabulary of a pipeline. A *pipeline* is a streamer, a persister and what happens between them; it has one state
 * and at most one run at a time. An *end* is one of its two programs: a connector of ours by its name, or any program
 * (`exec`) that speaks Singer.
 */
import { createHash } from 'node:crypto'
import { isAbsolute, relative, resolve } from 'node:path'
import type { JsonObject } from '@millrace/sdk'

/** A connector of Millrace, by its name. */
export interface ConnectorEnd {
  readonly kind: 'connector'
  readonly name: string
  readonly config: JsonObject
  /** Variables for the program, beside those of the allow-list. */
  readonly env: Readonly<Record<string, string>>
}

/**
 * Any program. An array runs without a shell and gets `--config`, `--state` and `--catalog` with files; a text goes to
 * `/bin/sh -c` as it stands and finds the same files in MILLRACE_CONFIG, MILLRACE_STATE and MILLRACE_CATALOG.
 */
export interface ExecEnd {
  readonly kind: 'exec'
  readonly exec: string | readonly string[]
  /** Undefined: the program gets no configuration file. */
  readonly config: JsonObject | undefined
  readonly env: Readonly<Record<string, string>>
}

export type PipelineEnd = ConnectorEnd | ExecEnd

/** What is read: by substream (a glob), all of it, nothing of it, or a list of fields (globs; `!` takes away). */
export type Selection = Readonly<Record<string, boolean | readonly string[]>>

/** What to do with a record or line that cannot be stored. */
export type OnInvalid = 'stop' | 'dead-letter'

/** A pipeline as it is run. Its texts may still hold references (`${NAME}`): they are resolved when it starts. */
export interface Pipeline {
  readonly name: string
  /** The folder that relative paths are relative to, and that the programs run in. */
  readonly cwd: string
  readonly from: PipelineEnd
  readonly to: PipelineEnd
  readonly select?: Selection
  /** The maps of `millrace.yaml`, handed to the persister as they are. */
  readonly maps?: JsonObject
  readonly onInvalid: OnInvalid
  readonly validate: boolean
  /** A commit at the destination, and with it a state, comes at the first of both; where they are not given, as suits it. */
  readonly flushRecords?: number
  readonly flushSeconds?: number
}

/** What an end is called in messages: its connector's name, or the program's file name. */
export const endName = (end: PipelineEnd): string => {
  if (end.kind === 'connector') return end.name
  const program = typeof end.exec === 'string' ? (end.exec.trim().split(/\s+/)[0] ?? 'sh') : (end.exec[0] ?? '')
  return program.split('/').at(-1) ?? program
}

/** JSON with the keys of objects in order, so that equal values give equal text. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, v: unknown) =>
    v !== null && typeof v === 'object' && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : typeof v === 'bigint'
        ? String(v)
        : v,
  )

const hash = (value: unknown, length: number): string =>
  createHash('sha256').update(canonical(value)).digest('hex').slice(0, length)

/**
 * What makes an end the same source or destination as another: the program, and its `path` where it has one, else its
 * whole configuration. References are not resolved, so no secret is in it, and a rotated token changes nothing.
 */
export const endIdentity = (end: PipelineEnd, cwd: string): string => {
  const config = end.config ?? {}
  const path = config['path']
  const place =
    typeof path === 'string'
      ? { path: isAbsolute(path) || path.startsWith('$') ? path : resolve(cwd, path) }
      : { config, cwd }
  return hash({ program: end.kind === 'connector' ? end.name : end.exec, ...place }, 16)
}

/**
 * The place that a pipeline writes to, in words: "duckdb out.duckdb"; undefined where it cannot be told. A path in the
 * pipeline's folder is written from there, so that a project that was moved writes to the same place.
 */
export const destinationPlace = ({ to, cwd }: Pick<Pipeline, 'to' | 'cwd'>): string | undefined => {
  const { path, url } = to.config ?? {}
  if (to.kind !== 'connector') return undefined
  if (typeof url === 'string') return placeOfUrl(to.name, url)
  if (typeof path !== 'string') return undefined
  if (path.includes('${')) return `${to.name} ${path}`
  const inside = relative(cwd, resolve(cwd, path))
  return `${to.name} ${inside.startsWith('..') || isAbsolute(inside) ? resolve(cwd, path) : inside === '' ? '.' : inside}`
}

/** Where a URL leads, without who goes there. What is no URL may hold anything: it has no place. */
const placeOfUrl = (name: string, url: string): string | undefined => {
  if (/^\$\{[^{}]+\}$/.test(url)) return `${name} ${url}`
  const parts = /^([a-z][a-z0-9+.-]*:\/\/)(?:[^@/?#]*@)?([^@/?#]*)([^@?#]*)/i.exec(url)
  return parts === null ? undefined : `${name} ${parts[1]}${parts[2]}${parts[3]}`
}

/** The name of an end without its folder and its ending: `weather` for `./weather.ts` and `lib/weather/index.ts`. */
const shortName = (end: PipelineEnd): string =>
  end.kind === 'exec'
    ? endName(end)
    : end.name
        .replace(/(?:[/\\]index)?\.[cm]?[jt]s$/, '')
        .replace(/[/\\]+$/, '')
        .split(/[/\\]/)
        .at(-1) || endName(end)

/** The name of a pipeline that no project file names: `git-to-duckdb-1a2b3c`. The same two ends give the same name. */
export const adHocName = (from: PipelineEnd, to: PipelineEnd, cwd: string): string =>
  `${shortName(from)}-to-${shortName(to)}-${hash([endIdentity(from, cwd), endIdentity(to, cwd)], 6)}`

/** Makes a pipeline of two ends, named by {@link adHocName} unless it is given a name. */
export const adHocPipeline = (ends: Pick<Pipeline, 'from' | 'to' | 'cwd'> & Partial<Pipeline>): Pipeline => ({
  onInvalid: 'stop',
  validate: true,
  ...ends,
  name: ends.name ?? adHocName(ends.from, ends.to, ends.cwd),
})
