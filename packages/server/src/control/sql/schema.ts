/**
 * The tables of the control plane, in numbered steps that only go forward. In braces are the words that differ:
 * `{key}` a text that is compared byte by byte, `{int}` 64 bits, `{blob}` bytes, `{seq}` a number that rises by itself, `{table}` what
 * stands behind a table. A step that was released is never changed.
 */

export type Dialect = 'sqlite' | 'postgres'

const words: Readonly<Record<Dialect, Readonly<Record<string, string>>>> = {
  sqlite: {
    key: 'text',
    int: 'integer',
    blob: 'blob',
    seq: 'integer primary key autoincrement',
    table: 'strict',
    rowless: 'strict, without rowid',
  },
  postgres: {
    key: 'text collate "C"',
    int: 'bigint',
    blob: 'bytea',
    seq: 'bigint generated always as identity primary key',
    table: '',
    rowless: '',
  },
}

const steps: readonly string[] = [
  `
create table stream (
  id {key} primary key, name {key} not null unique, display_name text not null, description text not null,
  content_type text not null, settings text not null,
  -- making, there or going, and since when
  state text not null, state_at {int} not null,
  created_at {int} not null, active_schema {key}, active_key {key}
) {rowless};
create index stream_unfinished on stream (state_at) where state <> 'there';

-- With the name of the stream, which never changes, so that a page of what an actor sees is one walk along an index.
create table permission (
  stream {key} not null, actor_type {key} not null, actor {key} not null, stream_name {key} not null,
  is_owner {int} not null, is_producer {int} not null, is_consumer {int} not null, granted_at {int} not null,
  primary key (stream, actor_type, actor)
) {rowless};
create index permission_of_actor on permission (actor_type, actor, stream_name);

-- tokens_from: tokens issued before are not good any more.
create table client (
  id {key} primary key, display_name text not null, description text not null, owner_type {key} not null, owner {key} not null,
  created_at {int} not null, last_used_at {int}, is_revoked {int} not null, tokens_from {int}
) {rowless};
create index client_of_owner on client (owner_type, owner, id);
create table client_secret (
  client {key} not null, id {key} not null, hash {blob} not null, created_at {int} not null, primary key (client, id)
) {rowless};

create table account (
  id {key} primary key, email {key} not null unique, display_name text not null, is_administrator {int} not null,
  created_at {int} not null, password text, login_hash {blob}, login_expires_at {int}, tokens_from {int}
) {rowless};
create index account_login on account (login_hash) where login_hash is not null;

-- What readers have read: ranges [first, next) that neither overlap nor touch.
create table reader (stream {key} not null, reader {key} not null, primary key (stream, reader)) {rowless};
create table read_range (
  stream {key} not null, reader {key} not null, first {int} not null, next {int} not null, primary key (stream, reader, first)
) {rowless};

-- domain/lease.ts says how these hang together.
create table consumer_group (
  stream {key} not null, name {key} not null, ack_timeout_ms {int} not null, max_tries {int} not null,
  created_at {int} not null, cursor_at {int} not null, primary key (stream, name)
) {rowless};
create table lease (
  stream {key} not null, grp {key} not null, id {key} not null, first {int} not null, next {int} not null,
  consumer text not null, until {int} not null, attempt {int} not null, primary key (stream, grp, id, first)
) {rowless};
create index lease_until on lease (stream, grp, until);
create table returned (
  stream {key} not null, grp {key} not null, first {int} not null, next {int} not null, tries {int} not null,
  primary key (stream, grp, first)
) {rowless};
create table dead_letter (
  stream {key} not null, grp {key} not null, pos {int} not null, tries {int} not null, reason text not null, at {int} not null,
  primary key (stream, grp, pos)
) {rowless};

create table stream_schema (
  stream {key} not null, id {key} not null, type text not null, text text not null, created_at {int} not null,
  primary key (stream, id)
) {rowless};
create table stream_key (
  stream {key} not null, id {key} not null, algorithm text not null, encoding text not null, value text not null,
  description text, created_at {int} not null, primary key (stream, id)
) {rowless};
create table batch (
  stream {key} not null, id {key} not null, attributes text not null, created_at {int} not null, pos {int}, primary key (stream, id)
) {rowless};
create table batch_part (
  stream {key} not null, batch {key} not null, number {int} not null, hash text, pos {int}, primary key (stream, batch, number)
) {rowless};
create table subscription (
  id {key} primary key, stream {key} not null, settings text not null, position {int} not null, tries {int} not null,
  state text not null, created_at {int} not null, holder {key}, held_until {int}
) {rowless};
create index subscription_of_stream on subscription (stream, id);

create table signing_key (
  id {key} primary key, algorithm text not null, secret {blob} not null, created_at {int} not null, retired_at {int}
) {rowless};
create table secret (purpose {key} primary key, value {blob} not null) {rowless};
create table revoked_token (id {key} primary key, expires_at {int} not null) {rowless};
create index revoked_token_expires on revoked_token (expires_at);
create table idempotency (
  actor_type {key} not null, actor {key} not null, name {key} not null, fingerprint text not null, response text,
  expires_at {int} not null, primary key (actor_type, actor, name)
) {rowless};
create index idempotency_expires on idempotency (expires_at);

create table audit (
  seq {seq}, at {int} not null, by_type {key} not null, by_id {key} not null, action text not null, stream {key}, subject text,
  details text not null
) {table};
create index audit_of_stream on audit (stream, seq);
create index audit_of_doer on audit (by_type, by_id, seq);
`,
  // Who made a group, as TYPE:ID; of one from before this step nobody knows.
  `alter table consumer_group add column made_by {key};`,
]

/** The steps in the words of a database. */
export const schemaSteps = (dialect: Dialect): readonly string[] =>
  steps.map((step) => step.replace(/\{(\w+)\}/g, (_, word: string) => words[dialect][word] as string))

/** Everything that goes with a stream. Its audit lines stay. */
export const tablesOfStream = [
  'permission',
  'reader',
  'read_range',
  'consumer_group',
  'lease',
  'returned',
  'dead_letter',
  'stream_schema',
  'stream_key',
  'batch',
  'batch_part',
  'subscription',
] as const
