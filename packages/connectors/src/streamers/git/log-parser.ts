import type { JsonObject } from '@millrace/sdk'
import { dateOf, pathOf, textOf, TokenCutter } from './tokens.ts'

/** What `git log` is asked for: fields and the lines of the diff, all ending in NUL. */
export const logFormat = '%H%x00%P%x00%T%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd%x00%B%x00'
const fieldCount = 10

/** A commit out of the log: its record, and the records of its files. */
export interface LoggedCommit {
  readonly sha: string
  readonly parents: readonly string[]
  readonly record: JsonObject
  readonly files: readonly JsonObject[]
}

/** One line of --raw, waiting for its line of --numstat. */
interface Change {
  readonly status: string
  readonly oldMode: string
  readonly newMode: string
  readonly path: string
  readonly oldPath: string | null
}

interface Raw {
  readonly status: string
  readonly oldMode: string
  readonly newMode: string
  oldPath?: string
}
interface Stat {
  readonly added: number | null
  readonly deleted: number | null
  oldPath?: string
}

const COLON = 58
const NEWLINE = 10
const TAB = 9
const DASH = 45

const changes: Readonly<Record<string, string>> = {
  A: 'added',
  M: 'modified',
  D: 'deleted',
  R: 'renamed',
  C: 'copied',
  T: 'type-changed',
}

/**
 * Parses `git log -z --format=… [--raw --numstat]` as it comes, whatever its chunks.
 *
 * The stream is tokens that end in NUL. A commit is ten fields and an empty token; then, where diffs were asked for, for
 * each file `:modes shas status` with one path (two for a rename), then for each file `added⇥deleted⇥path`, or
 * `added⇥deleted⇥` and two paths. What is neither begins the next commit.
 */
export class LogParser {
  readonly #cutter = new TokenCutter()
  readonly #boundary: ReadonlyMap<string, readonly string[]>
  readonly #withDiff: boolean
  #out: LoggedCommit[] = []
  #state: 'fields' | 'end-of-fields' | 'diff' | 'raw-path' | 'stat-path' = 'fields'
  #fields: string[] = []
  #changes: Change[] = []
  #raw: Raw | undefined
  #stat: Stat | undefined
  #files: JsonObject[] = []
  #insertions = 0
  #deletions = 0
  #nextChange = 0

  /** `boundary` has the true parents of the commits at the edge of a shallow clone, which git shows without any. */
  constructor(options: { readonly withDiff: boolean; readonly boundary: ReadonlyMap<string, readonly string[]> }) {
    this.#withDiff = options.withDiff
    this.#boundary = options.boundary
  }

  /** The commits that are complete with this chunk. */
  push(chunk: Buffer): LoggedCommit[] {
    this.#cutter.push(chunk, this.#token)
    return this.#taken()
  }

  /** The last commit. */
  end(): LoggedCommit[] {
    if (this.#state === 'diff') this.#finish()
    return this.#taken()
  }

  #taken(): LoggedCommit[] {
    const out = this.#out
    this.#out = []
    return out
  }

  readonly #token = (b: Buffer, from: number, to: number): void => {
    switch (this.#state) {
      case 'fields':
        this.#fields.push(textOf(b, from, to))
        if (this.#fields.length === fieldCount) this.#state = 'end-of-fields'
        return
      case 'end-of-fields':
        this.#state = 'diff'
        return
      case 'diff':
        this.#diff(b, from, to)
        return
      case 'raw-path':
        this.#rawPath(pathOf(b, from, to))
        return
      case 'stat-path': {
        const path = pathOf(b, from, to)
        const stat = this.#stat as Stat
        if (stat.oldPath === undefined) {
          stat.oldPath = path
          return
        }
        this.#state = 'diff'
        this.#file(stat.added, stat.deleted, path)
        return
      }
      default:
        this.#state satisfies never
    }
  }

  #diff(b: Buffer, from: number, to: number): void {
    const start = b[from] === NEWLINE ? from + 1 : from
    if (b[start] === COLON) {
      const [oldMode = '', newMode = '', , , status = ''] = b.toString('latin1', start + 1, to).split(' ')
      this.#raw = { status, oldMode, newMode }
      this.#state = 'raw-path'
      return
    }
    const first = start < to ? b.indexOf(TAB, start) : -1
    if (first > 0 && first < to) {
      const second = b.indexOf(TAB, first + 1)
      const added = b[start] === DASH ? null : Number(b.toString('latin1', start, first))
      const deleted = b[first + 1] === DASH ? null : Number(b.toString('latin1', first + 1, second))
      if (second + 1 < to) this.#file(added, deleted, pathOf(b, second + 1, to))
      else {
        this.#stat = { added, deleted }
        this.#state = 'stat-path'
      }
      return
    }
    this.#finish()
    this.#fields.push(textOf(b, start, to))
    this.#state = 'fields'
  }

  #rawPath(path: string): void {
    const raw = this.#raw as Raw
    const isPair = raw.status.startsWith('R') || raw.status.startsWith('C')
    if (isPair && raw.oldPath === undefined) {
      raw.oldPath = path
      return
    }
    this.#changes.push({ ...raw, path, oldPath: raw.oldPath ?? null })
    this.#state = 'diff'
  }

  #file(added: number | null, deleted: number | null, path: string): void {
    // Both lists have the files in the same order.
    const list = this.#changes
    let at = this.#nextChange
    while (at < list.length && list[at]?.path !== path) at++
    if (at >= list.length) at = this.#nextChange
    this.#nextChange = at + 1
    const change = list[at]
    this.#insertions += added ?? 0
    this.#deletions += deleted ?? 0
    const status = change?.status ?? 'M'
    const mode = change === undefined ? '' : change.status === 'D' ? change.oldMode : change.newMode
    this.#files.push({
      sha: this.#fields[0] as string,
      path,
      old_path: change?.oldPath ?? null,
      change: changes[status[0] as string] ?? status,
      similarity: status.length > 1 ? Number(status.slice(1)) : null,
      kind: mode === '160000' ? 'submodule' : mode === '120000' ? 'symlink' : 'file',
      mode: mode === '' ? null : mode,
      binary: added === null,
      insertions: added,
      deletions: deleted,
    })
  }

  #finish(): void {
    const [sha = '', parentText = '', tree = '', an = '', ae = '', ad = '', cn = '', ce = '', cd = '', message = ''] =
      this.#fields
    const edge = this.#boundary.get(sha)
    const parents = edge ?? (parentText === '' ? [] : parentText.split(' '))
    // Merges have no diff of their own, and at the edge of a shallow clone it would be against nothing.
    const hasStats = this.#withDiff && edge === undefined && parents.length <= 1
    const author = dateOf(ad)
    const committer = dateOf(cd)
    const { subject, body } = splitMessage(message)
    this.#out.push({
      sha,
      parents,
      files: edge === undefined ? this.#files : [],
      record: {
        sha,
        parents,
        tree,
        author_name: an,
        author_email: ae,
        authored_at: author.at,
        author_zone: author.zone,
        committer_name: cn,
        committer_email: ce,
        committed_at: committer.at,
        committer_zone: committer.zone,
        subject,
        body,
        files_changed: hasStats ? this.#files.length : null,
        insertions: hasStats ? this.#insertions : null,
        deletions: hasStats ? this.#deletions : null,
      },
    })
    this.#fields = []
    this.#changes = []
    this.#files = []
    this.#nextChange = 0
    this.#insertions = 0
    this.#deletions = 0
  }
}

/** The first paragraph in one line, and the rest: as `%s` and `%b` of git. */
export const splitMessage = (message: string): { readonly subject: string; readonly body: string } => {
  const text = message.replace(/^\s*\n/, '').trimEnd()
  const gap = /\n[ \t\r]*\n/.exec(text)
  if (gap === null) return { subject: text.replaceAll('\n', ' '), body: '' }
  return {
    subject: text.slice(0, gap.index).replaceAll('\n', ' '),
    body: text.slice(gap.index + gap[0].length).replace(/^\n+/, ''),
  }
}
