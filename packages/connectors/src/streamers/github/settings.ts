/** The settings of `github`: today's names, and those of every program of this kind before it. */
import { type ConfigOf, type Field, list, MillraceError, number, text, whole } from '@millrace/sdk'

export const settings: {
  readonly accessToken: Field<string | undefined>
  readonly repository: Field<readonly string[]>
  readonly organization: Field<readonly string[]>
  readonly startDate: Field<string | undefined>
  readonly baseUrl: Field<string>
  readonly userAgent: Field<string>
  readonly pageSize: Field<number>
  readonly maxConcurrent: Field<number>
  readonly refreshHours: Field<number>
  readonly timeoutSeconds: Field<number>
  readonly tries: Field<number>
  readonly retryMs: Field<number>
  readonly maxWaitSeconds: Field<number>
  readonly limitWaitSeconds: Field<number>
} = {
  accessToken: text({
    doc: 'A personal access token, or the token of an app, that may read the repositories',
    env: ['GITHUB_ACCESS_TOKEN', 'GITHUB_TOKEN'],
    aliases: ['auth_token', 'token'],
    optional: true,
    secret: true,
  }),
  repository: list({
    doc: 'Repositories as owner/name, with spaces or commas between them; owner/* means all of an owner',
    env: ['GITHUB_REPO_PATH', 'GITHUB_REPOSITORY'],
    aliases: ['repo_path', 'repositories', 'repo'],
    default: [],
    example: 'octocat/hello-world',
  }),
  organization: list({
    doc: 'Organisations or users of which every repository is read that the token may see',
    env: ['GITHUB_ORGANIZATION'],
    aliases: ['organizations', 'org'],
    default: [],
  }),
  startDate: text({
    doc: 'What changed before this is not read, in a date with or without time; left out: everything',
    example: '2026-01-01T00:00:00Z',
    optional: true,
  }),
  baseUrl: text({
    doc: 'Where the API is; of an Enterprise server: https://HOST/api/v3',
    env: ['GITHUB_API_URL'],
    default: 'https://api.github.com',
  }),
  userAgent: text({ doc: 'Who asks; GitHub wants to know', default: 'millrace' }),
  pageSize: whole({
    doc: 'Records a page; fewer where GitHub answers with errors of the server',
    default: 100,
    min: 1,
    max: 100,
  }),
  maxConcurrent: whole({
    doc: 'Requests for reviews at once; GitHub asks for one after the other',
    default: 1,
    min: 1,
    max: 20,
  }),
  refreshHours: number({
    doc: 'After how long a full list of more than one page is read again though its end is as it was',
    default: 24,
    min: 0,
  }),
  timeoutSeconds: number({
    doc: 'How long GitHub may be silent',
    aliases: ['request_timeout'],
    default: 60,
    min: 0.001,
  }),
  tries: whole({ doc: 'Tries of a request that fails for a reason that may pass', default: 6, min: 1, max: 100 }),
  retryMs: whole({ doc: 'The first wait before another try; each is double the last, to 30 s', default: 500, min: 1 }),
  maxWaitSeconds: number({
    doc: 'How long one request may wait because a limit is reached; the hourly one takes up to an hour',
    default: 3900,
    min: 0,
  }),
  limitWaitSeconds: number({
    doc: 'The first wait where a secondary limit is reached and GitHub does not say for how long; then double',
    default: 60,
    min: 0.001,
  }),
}
export type Settings = ConfigOf<typeof settings>

/** What to read: names as owner/name, and owners. */
export interface Wanted {
  readonly names: readonly string[]
  readonly owners: readonly string[]
  /** As GitHub writes it: `2026-01-01T00:00:00Z`. */
  readonly startDate: string | undefined
  readonly token: string
}

/** Throws CONFIG_INVALID with everything that is missing or wrong. */
export const wantedOf = (s: Settings): Wanted => {
  const problems: string[] = []
  const token = s.accessToken?.trim() ?? ''
  if (token === '') problems.push('accessToken is missing (looked for GITHUB_ACCESS_TOKEN, "access_token")')
  const names: string[] = []
  const owners = s.organization.flatMap(words).map((o) => o.replace(/\/\*?$/, ''))
  for (const word of s.repository.flatMap(words)) {
    const path = word.replace(/^https?:\/\/[^/]+\//, '').replace(/(\.git)?\/*$/, '')
    if (/^[\w.-]+\/\*$/.test(path)) owners.push(path.slice(0, -2))
    else if (/^[\w.-]+\/[\w.-]+$/.test(path)) names.push(path)
    else problems.push(`repository "${word}" is not owner/name`)
  }
  for (const owner of owners) if (!/^[\w.-]+$/.test(owner)) problems.push(`organization "${owner}" is not a name`)
  if (names.length === 0 && owners.length === 0 && problems.every((p) => !p.startsWith('repo')))
    problems.push('repository is missing (owner/name; looked for GITHUB_REPO_PATH, "repo_path", "repository")')
  const startDate = s.startDate === undefined ? undefined : instant(s.startDate)
  if (s.startDate !== undefined && startDate === undefined) problems.push('startDate is not a date')
  if (problems.length > 0) throw new MillraceError('CONFIG_INVALID', { what: 'streamer github', problems })
  return { names: unique(names), owners: unique(owners), startDate, token }
}

const words = (text: string): readonly string[] => text.split(/[\s,]+/).filter((w) => w !== '')
/** Each once, as it was written first. */
const unique = (texts: readonly string[]): readonly string[] => {
  const found = new Map<string, string>()
  for (const text of texts) if (!found.has(text.toLowerCase())) found.set(text.toLowerCase(), text)
  return [...found.values()]
}

/** A moment as GitHub writes it, whole seconds, rounded down; undefined where it is none. */
export const instant = (text: string): string | undefined => {
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : new Date(Math.floor(at / 1000) * 1000).toISOString().replace('.000Z', 'Z')
}
