import { Digest } from '../books/digest.ts'
import { encodeJson, type Json } from '../message/json.ts'
import { pruneSchema, type Selected } from './catalog.ts'
import { type Emitted, RecordEncoder } from './encode.ts'
import { GreatestKey } from './state.ts'
import type { SchemaChange, Substream } from './types.ts'

/** A substream while it is read. */
export interface Desk {
  readonly substream: Substream
  readonly selected: Selected
  readonly emitted: Emitted
  readonly encoder: RecordEncoder
  /** The version that its rows get by the runner; undefined: none, or one of the author's own. */
  readonly version: number | undefined
  readonly greatest: GreatestKey | undefined
}

/** Prepares the reading of a substream. `bookmark`: where its last run got to. */
export const openDesk = (
  selected: Selected<Substream>,
  options: { readonly bookmark: Json | undefined; readonly digests: boolean },
): Desk => {
  const { substream, keep, fullTable } = selected
  const emitted: Emitted = { records: 0, digest: new Digest() }
  const version = substream.versioned === true ? Date.now() : undefined
  const { replicationKey } = substream
  return {
    substream,
    selected,
    emitted,
    version,
    encoder: new RecordEncoder(substream.name, { version, keep, emitted, digests: options.digests }),
    greatest:
      replicationKey === undefined
        ? undefined
        : new GreatestKey(substream.name, replicationKey, fullTable ? undefined : options.bookmark),
  }
}

/** The SCHEMA message of a substream, without the fields that nobody chose. */
export const schemaLine = ({ substream, selected }: Desk, { schema, keyProperties }: SchemaChange): Buffer =>
  Buffer.from(
    `${encodeJson({
      type: 'SCHEMA',
      stream: substream.name,
      schema: pruneSchema(schema, selected.keep),
      key_properties: keyProperties ?? substream.keyProperties,
      ...(substream.replicationKey === undefined ? {} : { bookmark_properties: [substream.replicationKey] }),
    })}\n`,
  )

/** The ACTIVATE_VERSION message of a substream. */
export const versionLine = ({ substream }: Desk, version: number): Buffer =>
  Buffer.from(`${encodeJson({ type: 'ACTIVATE_VERSION', stream: substream.name, version })}\n`)
