/** Repositories for the local server: made up, but with the fields that GitHub gives. */
import type { JsonObject } from '@millrace/sdk'

/** A repository of the local server. Tests change its lists in place. */
export interface FakeRepository {
  readonly id: number
  full_name: string
  /** Names that lead here by a redirect. */
  readonly former: string[]
  /** In the order of time, oldest first; the last one is the head. */
  commits: JsonObject[]
  /** The lists by the end of their path: `issues`, `issues/comments`, `pulls`, `labels` … */
  readonly lists: Map<string, JsonObject[]>
  /** Answered in place of a list: 404, 410, 451. */
  readonly gone: Map<string, number>
}

/** A moment some seconds after the beginning of 2026. */
export const at = (seconds: number): string =>
  new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString().replace('.000Z', 'Z')

const user = (n: number): JsonObject => ({
  login: `user${n}`,
  id: 5000 + n,
  node_id: `U${n}`,
  type: 'User',
  site_admin: false,
  html_url: `https://github.com/user${n}`,
})

export const commitOf = (sha: string, seconds: number): JsonObject => ({
  sha,
  node_id: `C_${sha}`,
  commit: {
    message: `change ${sha}\n\nüber 𝄞`,
    comment_count: 0,
    author: { name: 'A', email: 'a@example.com', date: at(seconds - 60) },
    committer: { name: 'C', email: 'c@example.com', date: at(seconds) },
    tree: { sha: 't', url: 'https://example.com/t' },
  },
  author: user(1),
  committer: null,
  parents: [],
})

export const issueOf = (id: number, seconds: number, more: JsonObject = {}): JsonObject => ({
  id,
  number: id % 1000,
  title: `issue ${id}`,
  state: id % 3 === 0 ? 'closed' : 'open',
  locked: false,
  user: user(id % 7),
  labels: [],
  assignees: [],
  comments: 0,
  created_at: at(seconds),
  updated_at: at(seconds),
  closed_at: null,
  body: null,
  ...more,
})

const shaOf = (repository: number, n: number): string => `${repository}c${n}f`.padEnd(40, '0')

const times = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i))

/** A repository with about `size` records in each list. */
export const repositoryOf = (id: number, fullName: string, size: number): FakeRepository => {
  const base = id * 100_000
  const pulls: JsonObject[] = times(size, (i) => ({
    ...issueOf(base + i + 1, 500 + i * 7),
    draft: false,
    merged_at: null,
    head: { ref: 'x', sha: 'y' },
  }))
  const lists = new Map<string, JsonObject[]>([
    ['issues', times(size, (i) => issueOf(base + 1000 + i, 100 + i * 5))],
    ['issues/comments', times(size, (i) => issueOf(base + 2000 + i, 100 + Math.floor(i / 3)))],
    ['pulls', pulls],
    ['pulls/comments', times(size, (i) => issueOf(base + 3000 + i, 100 + i))],
    [
      'releases',
      times(size, (i) => ({
        id: base + 4000 + i,
        tag_name: `v${i}`,
        draft: false,
        assets: [],
        created_at: at(i),
        published_at: at(i),
      })),
    ],
    [
      'events',
      times(size, (i) => ({
        id: String(base + 9000 - i),
        type: 'PushEvent',
        actor: user(1),
        payload: {},
        public: true,
        created_at: at(10_000 - i),
      })),
    ],
    ['stargazers', times(size, (i) => ({ starred_at: at(i), user: user(i) }))],
    [
      'labels',
      times(size, (i) => ({
        id: base + 5000 + i,
        name: `label ${i}`,
        color: 'd73a4a',
        default: false,
        description: null,
      })),
    ],
    [
      'milestones',
      times(size, (i) => ({
        id: base + 6000 + i,
        number: i + 1,
        title: `m${i}`,
        state: i % 2 ? 'closed' : 'open',
        creator: user(1),
        created_at: at(i),
        updated_at: at(i),
        closed_at: null,
        due_on: null,
      })),
    ],
    ['contributors', times(size, (i) => ({ ...user(i), contributions: size - i }))],
  ])
  for (const pull of pulls)
    lists.set(`pulls/${String(pull['number'])}/reviews`, [
      {
        id: (pull['id'] as number) + 7000,
        user: user(2),
        body: 'good',
        state: 'APPROVED',
        submitted_at: pull['updated_at'] ?? null,
      },
    ])
  return {
    id,
    full_name: fullName,
    former: [],
    commits: times(size, (i) => commitOf(shaOf(id, i), 50 + i * 3)),
    lists,
    gone: new Map(),
  }
}
