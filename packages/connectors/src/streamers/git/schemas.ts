import type { JsonObject } from '@millrace/sdk'

const text: JsonObject = { type: 'string' }
const textOrNull: JsonObject = { type: ['null', 'string'] }
const date: JsonObject = { type: ['null', 'string'], format: 'date-time' }
const whole: JsonObject = { type: ['null', 'integer'] }
const flag: JsonObject = { type: 'boolean' }

/** Statistics are null for merges, and at the edge of a shallow clone. Dates are UTC, null beyond the years 0 to 9999. */
export const commitSchema: JsonObject = {
  type: 'object',
  properties: {
    sha: text,
    parents: { type: 'array', items: text },
    tree: text,
    author_name: text,
    author_email: text,
    authored_at: date,
    author_zone: textOrNull,
    committer_name: text,
    committer_email: text,
    committed_at: date,
    committer_zone: textOrNull,
    subject: text,
    body: text,
    files_changed: whole,
    insertions: whole,
    deletions: whole,
  },
}

/** One row for each file that a commit changed against its parent. Lines are null for binary files. */
export const fileSchema: JsonObject = {
  type: 'object',
  properties: {
    sha: text,
    path: text,
    old_path: textOrNull,
    change: text,
    similarity: whole,
    kind: text,
    mode: textOrNull,
    binary: flag,
    insertions: whole,
    deletions: whole,
  },
}

/** `sha` is what the ref leads to; for an annotated tag `tag_sha` is the tag itself. */
export const refSchema: JsonObject = {
  type: 'object',
  properties: {
    name: text,
    short_name: text,
    type: text,
    sha: text,
    target_type: text,
    symbolic_target: textOrNull,
    annotated: flag,
    tag_sha: textOrNull,
    tagger_name: textOrNull,
    tagger_email: textOrNull,
    tagged_at: date,
    message: textOrNull,
  },
}
