import type { JsonObject } from '@millrace/sdk'
import type { StoreSettings } from '../../object-store/settings.ts'
import type { Encoding } from './blocks.ts'

/** The settings as they were resolved; declared in index.ts. */
export interface FilesSettings extends StoreSettings {
  readonly path: readonly string[]
  readonly format: 'auto' | 'csv' | 'jsonl' | 'parquet'
  readonly substream: string | undefined
  readonly keys: readonly string[]
  readonly schema: JsonObject
  readonly delimiter: string
  readonly quote: string
  readonly header: boolean
  readonly nullText: string
  readonly encoding: Encoding
}
