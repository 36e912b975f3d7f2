/** `millrace.yaml` read and checked; every problem at once, each with its line. See docs/reference/project-file.md. */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type Json, type JsonObject, MillraceError, nearest, systemCode } from '@millrace/sdk'
import type { Pipeline, PipelineEnd, Selection } from '../domain/pipeline.ts'
import { findProject, type Project } from './find.ts'
import { type InstalledConnector, installedConfig, readInstalled } from './installed.ts'
import { hasReference, referenceProblems } from './references.ts'
import { type Entry, YamlWalk } from './yaml-walk.ts'

/** The connectors there are, by name; left out, names are not checked here. */
export interface KnownConnectors {
  readonly streamers: readonly string[]
  readonly persisters: readonly string[]
  /** Whether a name is of another kind, such as a path, and not judged here. */
  readonly isOther?: (name: string) => boolean
}

/** A project file with everything that is wrong with it, and of its pipelines those that could be read all the same. */
export interface Survey {
  readonly project: Project
  readonly problems: readonly string[]
  /** The line of what a path of keys leads to, such as `pipelines`, NAME, `from`, `config`, `path`. */
  readonly placeOf: (path: readonly string[]) => string
}

const projectKeys = ['version', 'connectors', 'pipelines'] as const
const pipelineKeys = [
  'from',
  'to',
  'select',
  'maps',
  'on-invalid',
  'validate',
  'flush-records',
  'flush-seconds',
] as const
const pipelineName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/

/** The project of a folder. Throws PROJECT_NOT_FOUND, PROJECT_INVALID. */
export const loadProject = (cwd: string, known?: KnownConnectors): Project => {
  const file = findProject(cwd)
  if (file === undefined) throw new MillraceError('PROJECT_NOT_FOUND', { cwd: resolve(cwd) })
  return readProject(file, known)
}

/** Reads a project file. Throws PROJECT_INVALID. */
export const readProject = (file: string, known?: KnownConnectors): Project => rightProject(surveyFile(file, known))

/** Looks at the project of a folder. Throws PROJECT_NOT_FOUND, and PROJECT_INVALID where its file cannot be read at all. */
export const surveyProject = (cwd: string, known?: KnownConnectors): Survey => {
  const file = findProject(cwd)
  if (file === undefined) throw new MillraceError('PROJECT_NOT_FOUND', { cwd: resolve(cwd) })
  return surveyFile(file, known)
}

const surveyFile = (file: string, known: KnownConnectors | undefined): Survey => {
  try {
    return surveyText(readFileSync(file, 'utf8'), file, known)
  } catch (e) {
    const code = systemCode(e)
    if (code === undefined || e instanceof MillraceError) throw e
    throw new MillraceError('PROJECT_INVALID', { source: file, problems: [`cannot be read (${code})`] }, { cause: e })
  }
}

/** The project in a text. `file` is where it stands, or would stand. Throws PROJECT_INVALID. */
export const parseProject = (source: string, file: string, known?: KnownConnectors): Project =>
  rightProject(surveyText(source, file, known))

const rightProject = ({ project, problems }: Survey): Project => {
  if (problems.length > 0) throw new MillraceError('PROJECT_INVALID', { source: project.file, problems })
  return project
}

const surveyText = (source: string, file: string, known: KnownConnectors | undefined): Survey => {
  const dir = dirname(resolve(file))
  const walk = new YamlWalk(source)
  const pipelines = new Map<string, Pipeline>()
  let connectors: ReadonlyMap<string, InstalledConnector> = new Map()
  if (walk.readable) {
    const extension = (e: Entry): boolean => e.key.startsWith('x-')
    const top = walk.root === null ? [] : walk.entries(walk.root, 'the project file')
    for (const entry of top) {
      if (extension(entry) || (projectKeys as readonly string[]).includes(entry.key)) continue
      const near = nearest(entry.key, projectKeys)
      walk.problem(
        entry.keyNode,
        `the project file has no "${entry.key}"${near.length > 0 ? `; did you mean ${near.join(' or ')}?` : ' (it has version, connectors, pipelines)'}`,
      )
    }
    const version = top.find((e) => e.key === 'version')
    if (version === undefined) walk.problem(walk.root, 'version is missing: write "version: 1"')
    else if (walk.scalar(version.value) !== 1) walk.problem(version.value ?? version.keyNode, 'version must be 1')
    const installed = top.find((e) => e.key === 'connectors')
    if (installed !== undefined) connectors = readInstalled(walk, installed)
    const list = top.find((e) => e.key === 'pipelines')
    for (const entry of list === undefined || list.value === null || walk.scalar(list.value) === null
      ? []
      : walk.entries(list.value, 'pipelines')) {
      if (!pipelineName.test(entry.key))
        walk.problem(
          entry.keyNode,
          `"${entry.key}" cannot be a pipeline's name: letters, digits, _ . - and at most 64 of them`,
        )
      const pipeline = readPipeline(walk, entry, { dir, known, connectors })
      if (pipeline !== undefined) pipelines.set(entry.key, pipeline)
    }
  }
  return {
    project: { file, dir, pipelines, connectors },
    problems: walk.problems,
    placeOf: (path) => walk.placeOf(path),
  }
}

const readPipeline = (
  walk: YamlWalk,
  entry: Entry,
  {
    dir,
    known,
    connectors,
  }: {
    readonly dir: string
    readonly known: KnownConnectors | undefined
    readonly connectors: ReadonlyMap<string, InstalledConnector>
  },
): Pipeline | undefined => {
  const what = `pipeline ${entry.key}`
  const fields = walk.fields(entry.value ?? entry.keyNode, what, pipelineKeys)
  const end = (side: 'from' | 'to'): PipelineEnd | undefined => {
    const field = fields.get(side)
    if (field !== undefined)
      return readEnd(walk, field, {
        side,
        connectors,
        known: known && {
          names: side === 'from' ? known.streamers : known.persisters,
          isOther: known.isOther,
        },
      })
    walk.problem(
      entry.keyNode,
      `${what} has no ${side === 'from' ? '"from": say which streamer it reads' : '"to": say which persister it writes to'}`,
    )
    return undefined
  }
  const from = end('from')
  const to = end('to')
  const select = fields.get('select')
  const selection = select === undefined ? undefined : readSelection(walk, select)
  const maps = fields.get('maps')
  const mapValue = maps === undefined ? undefined : readMaps(walk, maps)
  const onInvalid = fields.get('on-invalid')
  const word = onInvalid === undefined ? 'stop' : walk.scalar(onInvalid.value)
  if (onInvalid !== undefined && word !== 'stop' && word !== 'dead-letter')
    walk.problem(onInvalid.value ?? onInvalid.keyNode, 'on-invalid must be stop or dead-letter')
  const validate = fields.get('validate')
  const checks = validate === undefined ? true : walk.scalar(validate.value)
  if (validate !== undefined && typeof checks !== 'boolean')
    walk.problem(validate.value ?? validate.keyNode, 'validate must be true or false')
  const flushRecords = fields.get('flush-records')
  const flushSeconds = fields.get('flush-seconds')
  const flushes = {
    records: readPositive(walk, flushRecords, { name: 'flush-records', isRight: Number.isSafeInteger }),
    seconds: readPositive(walk, flushSeconds, { name: 'flush-seconds', isRight: Number.isFinite }),
  }
  if (to?.kind === 'exec') {
    for (const [field, name] of [
      [maps, 'maps'],
      [validate, 'validate'],
      [flushRecords, 'flush-records'],
      [flushSeconds, 'flush-seconds'],
    ] as const)
      if (field !== undefined)
        walk.problem(
          field.keyNode,
          `${name} works with a persister of Millrace only: a program under "exec" does it by itself or not at all`,
        )
  }
  if (from === undefined || to === undefined) return undefined
  return {
    name: entry.key,
    cwd: dir,
    from,
    to,
    ...(selection === undefined ? {} : { select: selection }),
    ...(mapValue === undefined ? {} : { maps: mapValue }),
    onInvalid: word === 'dead-letter' ? 'dead-letter' : 'stop',
    validate: checks !== false,
    ...(flushes.records === undefined ? {} : { flushRecords: flushes.records }),
    ...(flushes.seconds === undefined ? {} : { flushSeconds: flushes.seconds }),
  }
}

const readPositive = (
  walk: YamlWalk,
  field: Entry | undefined,
  { name, isRight }: { readonly name: string; readonly isRight: (n: number) => boolean },
): number | undefined => {
  if (field === undefined) return undefined
  const value = walk.scalar(field.value)
  if (typeof value === 'number' && value > 0 && isRight(value)) return value
  walk.problem(field.value ?? field.keyNode, `${name} must be a ${isRight(0.5) ? '' : 'whole '}number above 0`)
  return undefined
}

const readEnd = (
  walk: YamlWalk,
  field: Entry,
  {
    side,
    known,
    connectors,
  }: {
    readonly side: 'from' | 'to'
    readonly known: { readonly names: readonly string[]; readonly isOther?: KnownConnectors['isOther'] } | undefined
    readonly connectors: ReadonlyMap<string, InstalledConnector>
  },
): PipelineEnd | undefined => {
  const word = side === 'from' ? 'streamer' : 'persister'
  const fields = walk.fields(field.value ?? field.keyNode, side, [word, 'exec', 'config', 'env'])
  const named = fields.get(word)
  const exec = fields.get('exec')
  if ((named === undefined) === (exec === undefined)) {
    walk.problem(field.keyNode, `${side} needs either "${word}" (one of Millrace) or "exec" (any program)`)
    return undefined
  }
  const env = readVariables(walk, fields.get('env'))
  const configField = fields.get('config')
  const config = configField === undefined ? undefined : readObject(walk, configField, 'config')
  if (exec !== undefined) {
    const argv = readExec(walk, exec)
    return argv === undefined ? undefined : { kind: 'exec', exec: argv, config, env }
  }
  const name = walk.scalar(named?.value)
  if (typeof name !== 'string' || name === '') {
    walk.problem(named?.value ?? named?.keyNode, `${word} must be a name`)
    return undefined
  }
  const installed = connectors.get(name)
  if (installed !== undefined)
    return { kind: 'connector', name: 'singer', config: installedConfig(installed, config), env }
  if (known !== undefined && !known.names.includes(name) && known.isOther?.(name) !== true) {
    const near = nearest(name, [...known.names, ...connectors.keys()])
    walk.problem(
      named?.value,
      `no ${word} is called "${name}"${near.length > 0 ? `; did you mean ${near.join(' or ')}?` : ` (there are ${known.names.join(', ')})`}`,
    )
  }
  return { kind: 'connector', name, config: config ?? {}, env }
}

const readExec = (walk: YamlWalk, exec: Entry): string | readonly string[] | undefined => {
  const text = walk.scalar(exec.value)
  if (typeof text === 'string' && text.trim() !== '') return text
  const argv = walk.items(exec.value)?.map((item) => ({ item, value: walk.scalar(item) }))
  if (argv === undefined || argv.length === 0 || argv.some((a) => !['string', 'number'].includes(typeof a.value))) {
    walk.problem(
      exec.value ?? exec.keyNode,
      'exec must be a list of texts (program and arguments), or one text for the shell',
    )
    return undefined
  }
  for (const { item, value } of argv)
    if (hasReference(String(value)))
      walk.problem(item, 'a reference in "exec" would show in the list of processes: put it into "config" or "env"')
  return argv.map((a) => String(a.value))
}

const readVariables = (walk: YamlWalk, field: Entry | undefined): Readonly<Record<string, string>> => {
  if (field === undefined) return {}
  const variables: Record<string, string> = {}
  for (const { key, keyNode, value } of walk.entries(field.value ?? field.keyNode, 'env')) {
    const scalar = walk.scalar(value)
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) walk.problem(keyNode, `"${key}" cannot be the name of a variable`)
    else if (scalar === undefined || scalar === null) walk.problem(value ?? keyNode, `env.${key} must be a text`)
    else {
      for (const p of referenceProblems(String(scalar))) walk.problem(value, p)
      variables[key] = String(scalar)
    }
  }
  return variables
}

const readObject = (walk: YamlWalk, field: Entry, what: string): JsonObject => {
  if (field.value === null || walk.scalar(field.value) === null) return {}
  if (!walk.isMap(field.value)) {
    walk.problem(field.value, `${what} must be a map of names and values`)
    return {}
  }
  return walk.json(field.value, (text, node) => {
    for (const p of referenceProblems(text)) walk.problem(node, p)
  }) as JsonObject
}

const readSelection = (walk: YamlWalk, field: Entry): Selection => {
  const selection: Record<string, boolean | readonly string[]> = {}
  for (const { key, keyNode, value } of walk.entries(field.value ?? field.keyNode, 'select')) {
    const scalar = walk.scalar(value)
    const items = walk.items(value)?.map((item) => walk.scalar(item))
    if (typeof scalar === 'boolean') selection[key] = scalar
    else if (items?.every((i) => typeof i === 'string' && i.replace(/^!/, '') !== '') === true && items.length > 0)
      selection[key] = items as string[]
    else
      walk.problem(
        value ?? keyNode,
        `select.${key} must be true, false or a list of fields ("!" before a field leaves it out)`,
      )
  }
  return selection
}

const readMaps = (walk: YamlWalk, field: Entry): JsonObject => {
  const known = ['drop', 'rename', 'rename_to', 'mask', 'mask_salt', 'filter']
  const ignoreText = (): void => {}
  const value = walk.json(field.value ?? field.keyNode, ignoreText)
  for (const { key, value: map } of walk.entries(field.value ?? field.keyNode, 'maps')) {
    const parts = walk.fields(map ?? field.keyNode, `maps.${key}`, known)
    const drop = parts.get('drop')
    if (drop !== undefined && !isTexts(walk.items(drop.value)?.map((i) => walk.scalar(i))))
      walk.problem(drop.value ?? drop.keyNode, `maps.${key}.drop must be a list of fields`)
    for (const name of ['rename', 'mask']) {
      const part = parts.get(name)
      if (part === undefined) continue
      for (const e of walk.entries(part.value ?? part.keyNode, `maps.${key}.${name}`))
        if (typeof walk.scalar(e.value) !== 'string')
          walk.problem(e.value ?? e.keyNode, `maps.${key}.${name}.${e.key} must be a text`)
    }
    for (const name of ['rename_to', 'mask_salt']) {
      const part = parts.get(name)
      const text = part === undefined ? undefined : walk.scalar(part.value)
      if (part !== undefined && (typeof text !== 'string' || text === ''))
        walk.problem(part.value ?? part.keyNode, `maps.${key}.${name} must be a text`)
      if (name === 'mask_salt' && typeof text === 'string')
        for (const p of referenceProblems(text)) walk.problem(part?.value, p)
    }
    const filter = parts.get('filter')
    if (filter !== undefined && typeof walk.scalar(filter.value) !== 'string')
      walk.problem(filter.value ?? filter.keyNode, `maps.${key}.filter must be an expression in quotes`)
  }
  return value as Json as JsonObject
}

const isTexts = (items: readonly unknown[] | undefined): boolean => items?.every((i) => typeof i === 'string') === true
