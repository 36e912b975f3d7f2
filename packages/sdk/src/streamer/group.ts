import { MillraceError } from '../errors/error.ts'
import type { Json } from '../message/json.ts'
import { type Desk, schemaLine, versionLine } from './desk.ts'
import {
  Bookmarks,
  EncodedRecords,
  type PartOf,
  SchemaChange,
  type StreamerContext,
  type SubstreamGroup,
} from './types.ts'

/** What the run of a streamer does for the reading of a group. */
interface Surroundings {
  readonly context: StreamerContext
  readonly bookmarkOf: (desk: Desk) => Json | undefined
  readonly setBookmark: (substream: string, value: Json) => void
  readonly add: (part: Uint8Array) => void
  readonly wait: () => void | Promise<void>
  readonly writeState: () => void | Promise<void>
  /** Whether nobody waits any more. */
  readonly isAbandoned: () => boolean
}

/**
 * Reads the substreams of a group: the SCHEMA of each first, then what its author yields, in that order. A STATE is written where
 * bookmarks are yielded, and only there, so it comes behind every record that it covers.
 */
export const readGroup = async (desks: readonly Desk[], around: Surroundings): Promise<void> => {
  const byName = new Map(desks.map((d) => [d.substream.name, d]))
  for (const d of desks) around.add(schemaLine(d, new SchemaChange(d.substream.schema)))
  const group = desks[0]?.substream.group as SubstreamGroup
  const members = desks.map((d) => ({
    name: d.substream.name,
    bookmark: around.bookmarkOf(d),
    fields: d.selected.fields,
  }))
  for await (const y of group.records({ ...around.context, members })) {
    if (around.isAbandoned()) return
    if (y instanceof Bookmarks) {
      for (const [name, value] of y.values) {
        deskOf(byName, name)
        around.setBookmark(name, value)
      }
      await around.writeState()
      continue
    }
    take(deskOf(byName, y.substream), y.part, around)
    const wait = around.wait()
    if (wait !== undefined) await wait
  }
}

const take = (desk: Desk, part: PartOf['part'], around: Surroundings): void => {
  if (part instanceof EncodedRecords) {
    around.add(desk.encoder.pass(part, new Date().toISOString()))
  } else if (part instanceof SchemaChange) {
    around.add(schemaLine(desk, part))
  } else {
    desk.encoder.version = part.version
    if (part.isComplete) around.add(versionLine(desk, part.version))
  }
}

const deskOf = (desks: ReadonlyMap<string, Desk>, name: string): Desk => {
  const desk = desks.get(name)
  if (desk === undefined)
    throw new MillraceError('INTERNAL', { why: `a group yields something of ${name}, which was not asked for` })
  return desk
}
