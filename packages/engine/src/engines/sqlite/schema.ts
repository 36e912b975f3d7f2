/** The tables of a log file. Times are milliseconds since 1970. */
export const schemaVersion: number = 2

export const schemaSql: string = `
create table stream (
  id integer primary key autoincrement,
  -- null: dropped, its blocks are being removed
  name text unique,
  created_at integer not null,
  last_at integer,
  first integer not null default 0,
  next integer not null default 0,
  bytes integer not null default 0,
  max_age_ms integer,
  max_bytes integer,
  max_records integer
) strict;
-- Records [first, first + count) of a stream, as block.ts has them; compressed where the body is shorter than its content. bytes
-- are those of the records' bodies. Both indexes only grow at their ends.
create table block (
  stream integer not null,
  first integer not null,
  count integer not null,
  at integer not null,
  bytes integer not null,
  content_bytes integer not null,
  body blob not null,
  primary key (stream, first)
) strict;
create index block_at on block (stream, at);
-- The newest append of each writer.
create table writer (
  stream integer not null,
  id text not null,
  seq text not null,
  first integer not null,
  next integer not null,
  at integer not null,
  primary key (stream, id)
) strict, without rowid;
pragma user_version = ${schemaVersion};
`
