import type { Scenario } from '../harness.ts'

/**
 * All scenarios by name, in the order of the page. A new one is a file and a line here. A process that measures loads one of
 * them only: the libraries of the others would fill its heap.
 */
const loaders: Readonly<Record<string, () => Promise<Scenario | undefined>>> = {
  reader: async () => (await import('./reader.ts')).reader,
  convert: async () => (await import('./programs.ts')).convert,
  source: async () => (await import('./programs.ts')).source,
  jsonl: async () => (await import('./persisters.ts')).jsonlPersister,
  sqlite: async () => (await import('./persisters.ts')).sqlitePersister,
  duckdb: async () => (await import('./persisters.ts')).duckdbPersister,
  postgres: async () => (await import('./postgres.ts')).postgresPersister,
  parquet: async () => (await import('./lake.ts')).parquetPersister,
  files: async () => (await import('./lake.ts')).filesStreamer,
  s3: async () => (await import('./s3.ts')).s3Scenarios[0],
  amqp: async () => (await import('./amqp.ts')).amqpPersister,
  git: async () => (await import('./programs.ts')).git,
  pipeline: async () => (await import('./programs.ts')).pipeline,
  singer: async () => (await import('./singer.ts')).singer,
  startup: async () => (await import('./startup.ts')).startup,
  'postgres-source': async () => (await import('./postgres-source.ts')).postgresStreamer,
  stitch: async () => (await import('./stitch.ts')).stitch,
  streams: async () => (await import('./streams.ts')).streams,
  'streams-large': async () => (await import('./streams-large.ts')).streamsLarge,
  'streams-rabbitmq': async () => (await import('./streams-rabbitmq.ts')).streamsRabbitmq,
  manager: async () => (await import('./manager.ts')).manager,
}

export const scenarioNames: readonly string[] = Object.keys(loaders)

/** Undefined where there is none of that name, or where what it needs is not there. */
export const loadScenario = async (name: string): Promise<Scenario | undefined> => await loaders[name]?.()
