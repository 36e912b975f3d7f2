export { MemoryEngine } from './engines/memory/index.ts'
export { SqliteEngine, type SqliteEngineOptions } from './engines/sqlite/index.ts'
export { type NewRecord, RecordBatch } from './record-batch.ts'
export { StreamEngine } from './stream-engine.ts'
export { defaultReadLimit, maxAppendBytes, StreamLog } from './stream-log.ts'
export {
  type Appended,
  type Bounds,
  type EngineSupports,
  maxNameLength,
  type Offset,
  offset,
  type Position,
  type ReadLimit,
  type Retention,
  type StoredBatch,
  type StreamName,
  type StreamStat,
  streamName,
  type WriterMark,
  type WriterPlace,
} from './types.ts'
