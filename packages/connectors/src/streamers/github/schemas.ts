/** The fields of each substream. GitHub may leave out any of them or add others; those are passed on all the same. */
import type { JsonObject } from '@millrace/sdk'

const text: JsonObject = { type: ['null', 'string'] }
const whole: JsonObject = { type: ['null', 'integer'] }
const flag: JsonObject = { type: ['null', 'boolean'] }
const date: JsonObject = { type: ['null', 'string'], format: 'date-time' }
const any: JsonObject = { type: ['null', 'object'] }
const listOf = (items: JsonObject): JsonObject => ({ type: ['null', 'array'], items })
const inner = (properties: JsonObject): JsonObject => ({ type: ['null', 'object'], properties })
const fields = (names: string, type: JsonObject): JsonObject =>
  Object.fromEntries(names.split(' ').map((name) => [name, type]))

const record = (keys: JsonObject, properties: JsonObject): JsonObject => ({
  type: 'object',
  properties: { ...keys, ...properties, _sdc_repository: { type: 'string' }, repository_id: { type: 'integer' } },
})
const byId: JsonObject = { id: { type: 'integer' } }

const userFields: JsonObject = {
  login: text,
  id: whole,
  node_id: text,
  ...fields('avatar_url gravatar_id url html_url type', text),
  site_admin: flag,
}
const user = inner(userFields)
const users = listOf(user)

const labelFields: JsonObject = {
  id: whole,
  node_id: text,
  url: text,
  name: text,
  color: text,
  default: flag,
  description: text,
}
const labels = listOf(inner(labelFields))

const milestoneFields: JsonObject = {
  id: whole,
  node_id: text,
  number: whole,
  ...fields('url html_url labels_url title description state', text),
  open_issues: whole,
  closed_issues: whole,
  creator: user,
  ...fields('created_at updated_at closed_at due_on', date),
}
const milestone_ = inner(milestoneFields)
const app = any

const person = inner({ name: text, email: text, date })

export const commit: JsonObject = record(
  { sha: { type: 'string' } },
  {
    node_id: text,
    updated_at: date,
    ...fields('url html_url comments_url', text),
    commit: inner({
      url: text,
      message: text,
      comment_count: whole,
      tree: inner({ sha: text, url: text }),
      author: person,
      committer: person,
      verification: inner({ verified: flag, reason: text, signature: text, payload: text, verified_at: text }),
    }),
    // An empty object where GitHub knows no user of that address.
    author: user,
    committer: user,
    parents: listOf(inner({ sha: text, url: text, html_url: text })),
  },
)

/** Also of pull requests: those have `pull_request`. */
export const issue: JsonObject = record(byId, {
  node_id: text,
  number: whole,
  ...fields('title state state_reason body active_lock_reason author_association', text),
  ...fields('url html_url repository_url labels_url comments_url events_url timeline_url', text),
  locked: flag,
  draft: flag,
  comments: whole,
  user,
  assignee: user,
  assignees: users,
  closed_by: user,
  labels,
  milestone: milestone_,
  pull_request: inner({ ...fields('url html_url diff_url patch_url', text), merged_at: date }),
  performed_via_github_app: app,
  reactions: any,
  ...fields('created_at updated_at closed_at', date),
})

const comment: JsonObject = {
  node_id: text,
  ...fields('url html_url body author_association', text),
  user,
  performed_via_github_app: app,
  reactions: any,
  ...fields('created_at updated_at', date),
}
export const issueComment: JsonObject = record(byId, { ...comment, issue_url: text })

const branch = inner({ label: text, ref: text, sha: text, user, repo: any })
export const pullRequest: JsonObject = record(byId, {
  node_id: text,
  number: whole,
  ...fields('title state body active_lock_reason author_association merge_commit_sha', text),
  ...fields('url html_url diff_url patch_url issue_url commits_url review_comments_url', text),
  ...fields('review_comment_url comments_url statuses_url', text),
  locked: flag,
  draft: flag,
  user,
  assignee: user,
  assignees: users,
  requested_reviewers: users,
  requested_teams: listOf(any),
  labels,
  milestone: milestone_,
  head: branch,
  base: branch,
  auto_merge: any,
  _links: any,
  ...fields('created_at updated_at closed_at merged_at', date),
})

export const review: JsonObject = record(byId, {
  node_id: text,
  pull_request_number: whole,
  user,
  ...fields('body state html_url pull_request_url author_association commit_id', text),
  submitted_at: date,
  _links: any,
})

export const reviewComment: JsonObject = record(byId, {
  ...comment,
  pull_request_review_id: whole,
  in_reply_to_id: whole,
  ...fields('diff_hunk path commit_id original_commit_id pull_request_url side start_side subject_type', text),
  ...fields('position original_position line original_line start_line original_start_line', whole),
  _links: any,
})

export const release: JsonObject = record(byId, {
  node_id: text,
  ...fields('tag_name target_commitish name body', text),
  ...fields('url html_url assets_url upload_url tarball_url zipball_url discussion_url', text),
  draft: flag,
  prerelease: flag,
  immutable: flag,
  author: user,
  assets: listOf(
    inner({
      id: whole,
      node_id: text,
      ...fields('url browser_download_url name label state content_type digest', text),
      size: whole,
      download_count: whole,
      uploader: user,
      ...fields('created_at updated_at', date),
    }),
  ),
  mentions_count: whole,
  reactions: any,
  ...fields('created_at updated_at published_at', date),
})

export const event: JsonObject = record(
  { id: { type: 'string' } },
  {
    type: text,
    actor: inner({ id: whole, ...fields('login display_login gravatar_id url avatar_url', text) }),
    repo: inner({ id: whole, name: text, url: text }),
    org: any,
    payload: any,
    public: flag,
    created_at: date,
  },
)

export const stargazer: JsonObject = record({ user_id: { type: 'integer' } }, { starred_at: date, user })
export const label: JsonObject = record(byId, { ...labelFields, ...byId })
export const milestone: JsonObject = record(byId, { ...milestoneFields, ...byId })
export const contributor: JsonObject = record(byId, { ...userFields, ...byId, contributions: whole })
