import { readFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { systemCode } from '@millrace/sdk'
import { git, gitOutput } from './git-process.ts'
import { dateOf, textOf, TokenCutter } from './tokens.ts'
import type { JsonObject } from '@millrace/sdk'

/** What there is to read, looked up at the start of a run. */
export interface Snapshot {
  /** The commits that the chosen refs and HEAD point at. */
  readonly tips: readonly string[]
  /** Commits at the edge of a shallow clone. */
  readonly shallow: readonly string[]
  /** Changes when any chosen ref does. */
  readonly fingerprint: string
}

/** Which refs are read: those whose full or short name fits a pattern; without patterns branches, tags and remotes. */
export const refFilter = (patterns: readonly string[]): ((name: string) => boolean) => {
  if (patterns.length === 0) return (name) => /^(HEAD$|refs\/(heads|tags|remotes)\/)/.test(name)
  const wanted = patterns.map(
    (p) =>
      new RegExp(
        `^${p
          .replace(/[.+^${}()|[\]\\]/g, '\\$&')
          .replaceAll('*', '.*')
          .replaceAll('?', '.')}$`,
      ),
  )
  return (name) => {
    const short = name.replace(/^refs\/(heads|tags|remotes)\//, '')
    return wanted.some((w) => w.test(name) || w.test(short))
  }
}

/** Looks at a repository. Throws SOURCE_REFUSED where there is none. */
export const lookAt = async (path: string, patterns: readonly string[], signal: AbortSignal): Promise<Snapshot> => {
  const found = await gitOutput(path, ['rev-parse', '--git-path', 'shallow'], { signal })
  const shallowFile = resolve(path, found.toString().replace(/\n$/, ''))
  const isChosen = refFilter(patterns)
  const hash = createHash('sha256')
  const objects: string[] = []
  const listed = await gitOutput(path, ['for-each-ref', '--format=%(refname) %(objectname) %(objecttype)'], { signal })
  for (const line of listed.toString('latin1').split('\n')) {
    const [name = '', object = '', type = ''] = line.split(' ')
    if (object === '' || !isChosen(name)) continue
    hash.update(`${line}\n`)
    objects.push(type === 'commit' ? object : `${object}^{commit}`)
  }
  if (isChosen('HEAD')) objects.push('HEAD^{commit}')
  const tips = (await resolveCommits(path, [...new Set(objects)], signal)).filter((sha) => sha !== undefined)
  const head = await gitOutput(path, ['symbolic-ref', '-q', 'HEAD'], { signal }).catch(() => Buffer.alloc(0))
  hash.update(head)
  return {
    tips: [...new Set(tips)],
    shallow: await readShallow(shallowFile),
    fingerprint: hash.digest('hex').slice(0, 32),
  }
}

/** The commits of these names, in their order; undefined where there is none (any more). */
export const resolveCommits = async (
  path: string,
  names: readonly string[],
  signal: AbortSignal,
): Promise<(string | undefined)[]> => {
  if (names.length === 0) return []
  const output = await gitOutput(path, ['cat-file', '--batch-check=%(objectname) %(objecttype)'], {
    signal,
    input: `${names.join('\n')}\n`,
  })
  return output
    .toString('latin1')
    .split('\n')
    .slice(0, names.length)
    .map((line) => (line.endsWith(' commit') ? line.slice(0, -' commit'.length) : undefined))
}

/** The parents that commits name themselves, where a shallow clone hides them. */
export const trueParents = async (
  path: string,
  commits: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, readonly string[]>> => {
  const parents = new Map<string, readonly string[]>()
  for (const sha of commits) {
    const text = (await gitOutput(path, ['cat-file', 'commit', sha], { signal }).catch(() => Buffer.alloc(0))).toString(
      'latin1',
    )
    const head = text.slice(0, text.indexOf('\n\n'))
    parents.set(
      sha,
      [...head.matchAll(/^parent ([0-9a-f]+)$/gm)].map((m) => m[1] as string),
    )
  }
  return parents
}

const readShallow = async (file: string): Promise<readonly string[]> => {
  try {
    return (await readFile(file, 'latin1')).split('\n').filter((l) => l !== '')
  } catch (e) {
    if (systemCode(e) === 'ENOENT') return []
    throw e
  }
}

const refFormat = [
  'refname',
  'objecttype',
  'objectname',
  '*objecttype',
  '*objectname',
  'taggername',
  'taggeremail',
  'taggerdate:raw',
  'contents',
  'symref',
]

/** The records of the chosen refs, in arrays. */
export async function* refRecords(
  path: string,
  patterns: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<JsonObject[], void, undefined> {
  const isChosen = refFilter(patterns)
  const cutter = new TokenCutter()
  let fields: string[] = []
  let rows: JsonObject[] = []
  const format = refFormat.map((f) => `%(${f})%00`).join('')
  for await (const chunk of git(path, ['for-each-ref', `--format=${format}`], { signal })) {
    cutter.push(chunk, (b, from, to) => {
      // The first field of a ref stands behind the newline that ends the one before.
      fields.push(textOf(b, fields.length === 0 && b[from] === 10 ? from + 1 : from, to))
      if (fields.length < refFormat.length) return
      if (isChosen(fields[0] as string)) rows.push(refRecord(fields))
      fields = []
    })
    if (rows.length > 0) yield rows
    rows = []
  }
}

const refRecord = (fields: readonly string[]): JsonObject => {
  const [
    name = '',
    objectType = '',
    object = '',
    peeledType = '',
    peeled = '',
    tagger = '',
    email = '',
    date = '',
    message = '',
    symref = '',
  ] = fields
  const isTag = objectType === 'tag'
  const kind = /^refs\/(heads|tags|remotes)\//.exec(name)?.[1]
  return {
    name,
    short_name: name.replace(/^refs\/(heads|tags|remotes)\//, ''),
    type: kind === 'heads' ? 'branch' : kind === 'tags' ? 'tag' : kind === 'remotes' ? 'remote' : 'other',
    sha: isTag ? peeled : object,
    target_type: isTag ? peeledType : objectType,
    symbolic_target: symref === '' ? null : symref,
    annotated: isTag,
    tag_sha: isTag ? object : null,
    tagger_name: isTag && tagger !== '' ? tagger : null,
    tagger_email: isTag && email !== '' ? email.replace(/^<|>$/g, '') : null,
    tagged_at: isTag ? dateOf(date).at : null,
    message: isTag ? message.trimEnd() : null,
  }
}
