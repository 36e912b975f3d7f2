import type { Scenario } from '../harness.ts'
import { filesStreamer, parquetPersister } from './lake.ts'
import { manager } from './manager.ts'
import { duckdbPersister, jsonlPersister, sqlitePersister } from './persisters.ts'
import { postgresPersister } from './postgres.ts'
import { postgresStreamer } from './postgres-source.ts'
import { convert, git, pipeline, source } from './programs.ts'
import { reader } from './reader.ts'
import { s3Scenarios } from './s3.ts'
import { singer } from './singer.ts'
import { startup } from './startup.ts'
import { stitch } from './stitch.ts'
import { streams } from './streams.ts'
import { streamsRabbitmq } from './streams-rabbitmq.ts'

/** All scenarios, in the order of the page. A new one is a file and a line here. */
export const scenarios: readonly Scenario[] = [
  reader,
  convert,
  source,
  jsonlPersister,
  sqlitePersister,
  duckdbPersister,
  postgresPersister,
  parquetPersister,
  filesStreamer,
  ...s3Scenarios,
  git,
  pipeline,
  singer,
  startup,
  postgresStreamer,
  stitch,
  streams,
  streamsRabbitmq,
  manager,
]
