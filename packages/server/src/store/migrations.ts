import type { DatabaseSync } from 'node:sqlite'
import { MillraceError } from '@millrace/sdk'

/** The steps of the schema; the database's user_version counts those that were taken. A step is never changed. */
const migrations: readonly string[] = [
  `create table runs (
     id text primary key, pipeline text not null, mode text not null, started_at text not null, ended_at text,
     why text, exit_code integer, error_code text, error_message text,
     received integer not null default 0, stored integer not null default 0, filtered integer not null default 0,
     dead_lettered integer not null default 0, bytes integer not null default 0,
     destination text not null, definition text
   ) strict, without rowid;
   create index runs_of_pipeline on runs (pipeline, id);
   create table states (
     id integer primary key autoincrement, pipeline text not null, run text, at text not null, origin text not null,
     text text, records integer not null
   ) strict;
   create index states_of_pipeline on states (pipeline, id);
   create table books (run text not null, substream text not null, body text not null, primary key (run, substream)) strict, without rowid;
   create table evidence (
     run text not null, substream text not null, destination text not null, row_count integer not null, marks text not null,
     primary key (run, substream)
   ) strict, without rowid;
   create index evidence_of_destination on evidence (destination, substream, run);
   create table schema_texts (id integer primary key, text text not null unique) strict;
   create table dead_letters (
     id integer primary key autoincrement, run text not null, pipeline text not null, substream text not null, line integer not null,
     code text not null, reason text not null, field text, rule text, text text not null, schema_id integer, at text not null,
     replayed_at text
   ) strict;
   create index dead_letters_of_pipeline on dead_letters (pipeline, id);
   create table locks (
     pipeline text primary key, run text not null, pid integer not null, started text not null, groups text not null
   ) strict, without rowid;`,
  // Where a run wrote to, in words: a state is good for that place only.
  'alter table runs add column place text',
]

/** Brings the schema up to date. Safe when several processes do it at once. Throws STORE_UNUSABLE for a newer schema. */
export const migrate = (db: DatabaseSync, file: string): void => {
  const version = (): number =>
    Number((db.prepare('pragma user_version').get() as { user_version: number }).user_version)
  if (version() === migrations.length) return
  db.exec('begin immediate')
  try {
    const at = version()
    if (at > migrations.length) {
      throw new MillraceError('STORE_UNUSABLE', {
        file,
        why: `it was written by a newer Millrace (schema ${at}; this one knows ${migrations.length})`,
      })
    }
    for (const step of migrations.slice(at)) db.exec(step)
    db.exec(`pragma user_version = ${migrations.length}`)
    db.exec('commit')
  } catch (e) {
    db.exec('rollback')
    throw e
  }
}
