export { MemoryEngine } from './engines/memory/index.ts'
export { RabbitEngine, type RabbitEngineOptions } from './engines/rabbitmq/index.ts'
export { SqliteEngine, type SqliteEngineOptions } from './engines/sqlite/index.ts'
export { type NewRecord, RecordBatch } from './record-batch.ts'
export { StreamEngine } from './stream-engine.ts'
export { defaultReadLimit, maxAppendBytes, maxFind, maxGet, StreamLog } from './stream-log.ts'
export {
  type Appended,
  type Bounds,
  type CreateOptions,
  type EngineSupports,
  type FindOptions,
  maxNameLength,
  type Offset,
  offset,
  type Position,
  type ReadLimit,
  type Retention,
  type StoredBatch,
  type StoredRecord,
  type StreamName,
  type StreamStat,
  streamName,
  type WriterMark,
  type WriterPlace,
} from './types.ts'
