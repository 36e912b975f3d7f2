import type { JsonObject } from '@millrace/sdk'
import type { Encoding } from './blocks.ts'

/** The settings as they were resolved; declared in index.ts. */
export interface FilesSettings {
  readonly path: readonly string[]
  readonly format: 'auto' | 'csv' | 'jsonl'
  readonly substream: string | undefined
  readonly keys: readonly string[]
  readonly schema: JsonObject
  readonly delimiter: string
  readonly quote: string
  readonly header: boolean
  readonly nullText: string
  readonly encoding: Encoding
}
