import type { JsonObject, ReplicationMethod } from '@millrace/sdk'
import { readCommits } from './read-commits.ts'
import { listReader } from './read-list.ts'
import { readEvents, readPulls, readReviews } from './read-pulls.ts'
import { risingReader } from './read-rising.ts'
import type { Reader } from './reading.ts'
import * as schemas from './schemas.ts'

export interface SubstreamSpec {
  readonly name: string
  readonly keys: readonly string[]
  readonly method: ReplicationMethod
  readonly schema: JsonObject
  readonly read: Reader
  /** Whether it is read when nobody said anything. Default true. */
  readonly selected?: boolean
}

const incremental = (name: string, schema: JsonObject, read: Reader): SubstreamSpec => ({
  name,
  keys: ['id'],
  method: 'INCREMENTAL',
  schema,
  read,
})
const full = (name: string, schema: JsonObject, read: Reader): SubstreamSpec => ({
  ...incremental(name, schema, read),
  method: 'FULL_TABLE',
})

/** In the order in which they are read. */
export const substreamSpecs: readonly SubstreamSpec[] = [
  { ...incremental('commits', schemas.commit, readCommits), keys: ['sha'] },
  incremental('issues', schemas.issue, risingReader('issues', { state: 'all' })),
  incremental('issue_comments', schemas.issueComment, risingReader('issues/comments', {})),
  incremental('pull_requests', schemas.pullRequest, readPulls),
  // A request for each pull request: only for those who want it.
  { ...incremental('reviews', schemas.review, readReviews), selected: false },
  incremental('review_comments', schemas.reviewComment, risingReader('pulls/comments', {})),
  full('releases', schemas.release, listReader({ path: 'releases' })),
  incremental('events', schemas.event, readEvents),
  {
    ...full(
      'stargazers',
      schemas.stargazer,
      listReader({
        path: 'stargazers',
        // Without it the date is left out.
        headers: { accept: 'application/vnd.github.v3.star+json' },
        map: (r) => ({ ...r, user_id: (r['user'] as JsonObject | null)?.['id'] ?? null }),
      }),
    ),
    keys: ['repository_id', 'user_id'],
  },
  full('labels', schemas.label, listReader({ path: 'labels' })),
  full('milestones', schemas.milestone, listReader({ path: 'milestones', query: { state: 'all' } })),
  {
    ...full('contributors', schemas.contributor, listReader({ path: 'contributors' })),
    keys: ['repository_id', 'id'],
  },
]
