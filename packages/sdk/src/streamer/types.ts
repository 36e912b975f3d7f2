import type { ConfigOf, ConfigSpec } from '../config/fields.ts'
import type { Logger } from '../log/logger.ts'
import type { Json, JsonObject } from '../message/json.ts'

/** What a streamer's code is given: its settings, a log, and a signal that asks it to stop. */
export interface StreamerContext<C extends ConfigSpec = ConfigSpec> {
  readonly config: ConfigOf<C>
  readonly log: Logger
  /** Aborted when the run is to end early: finish what is begun, then return. */
  readonly signal: AbortSignal
  /** Takes a line that a program of somebody else wrote on its log, to be passed on as it is; left out: nobody listens. */
  readonly relay?: ((line: string) => void) | undefined
}

/** How a substream is replicated. */
export type ReplicationMethod = 'FULL_TABLE' | 'INCREMENTAL' | 'LOG_BASED'

/** What is known of a substream before a record is read: its entry in the catalog. */
export interface SubstreamInfo {
  readonly name: string
  readonly schema: JsonObject
  readonly keyProperties: readonly string[]
  /**
   * The field whose greatest value seen is the bookmark. The runner keeps it; the author only starts from
   * `bookmark`. Left out: full table, or a bookmark of the author's own (see {@link bookmark}).
   */
  readonly replicationKey?: string
  /** True where records come in rising order of the replication key, so that a run may be resumed in its middle. */
  readonly ordered?: boolean
  readonly replicationMethod?: ReplicationMethod
  /** Fields beside the keys that are kept whatever is chosen: without them the records would say something else. */
  readonly automatic?: readonly string[]
  /** Whether it is read when nobody said anything. Default true. */
  readonly selectedByDefault?: boolean
  /** True: each full run is one version, and rows that are gone are dropped (ACTIVATE_VERSION). See {@link unchanged}. */
  readonly versioned?: boolean
}

/** What the code that reads one substream is given. */
export interface SubstreamContext<C extends ConfigSpec = ConfigSpec> extends StreamerContext<C> {
  /** Where the last run got to in this substream: the value last given to {@link bookmark}, or undefined. */
  readonly bookmark: Json | undefined
  /** The fields wanted, or undefined for all. The runner drops the others; knowing them can save fetching. */
  readonly fields: ReadonlySet<string> | undefined
  /** Substreams whose records are to come out of this same reading, by {@link recordsOf}: see `readWith`. */
  readonly together: ReadonlySet<string>
  /** The version of a versioned substream, for who writes lines: see {@link EncodedRecords}. The runner adds it elsewhere. */
  readonly version: number | undefined
}

/** Bytes of a RECORD line that are not its record. */
export interface AroundRecord {
  readonly before: number
  readonly after: number
  readonly versioned?: boolean
}

/**
 * Records already written as RECORD lines, each ending in a newline: the way to millions a second.
 *
 * `around` says how many bytes of each line stand before and behind the record (the newline not counted), where that is
 * the same on all of them; books can then be kept without looking for it. With `versioned` the lines say `version` of the context
 * themselves, where there is one; else it is put into each of them.
 */
export class EncodedRecords {
  readonly lines: Uint8Array
  readonly count: number
  readonly around: AroundRecord | undefined
  constructor(lines: Uint8Array, count: number, around?: AroundRecord) {
    this.lines = lines
    this.count = count
    this.around = around
  }
}

/** A place that the substream may be resumed from: everything yielded before it is covered by it. */
export class Bookmark {
  readonly value: Json
  constructor(value: Json) {
    this.value = value
  }
}
/** Says that everything yielded so far is covered by `value`, which the next run gets as its `bookmark`. */
export const bookmark = (value: Json): Bookmark => new Bookmark(value)

/** Records of another substream, which is read together with this one. */
export class RecordsOf {
  readonly substream: string
  readonly records: readonly JsonObject[]
  constructor(substream: string, records: readonly JsonObject[]) {
    this.substream = substream
    this.records = records
  }
}
/** Yields records of a substream named in `together`. A bookmark then covers both. */
export const recordsOf = (substream: string, records: readonly JsonObject[]): RecordsOf =>
  new RecordsOf(substream, records)

/** A schema that replaces the one the substream began with. */
export class SchemaChange {
  readonly schema: JsonObject
  /** Undefined: they stay as they are. */
  readonly keyProperties: readonly string[] | undefined
  constructor(schema: JsonObject, keyProperties?: readonly string[]) {
    this.schema = schema
    this.keyProperties = keyProperties
  }
}
/** Says that the records after it have this schema, and these key properties where they are given. */
export const schemaChange = (schema: JsonObject, keyProperties?: readonly string[]): SchemaChange =>
  new SchemaChange(schema, keyProperties)

/** See {@link unchanged}. */
export class Unchanged {
  readonly is = 'unchanged' as const
}
/** Yielded by a versioned substream that is as it was at its bookmark: no new version, no rows dropped. */
export const unchanged: Unchanged = new Unchanged()

/** The version that the records of a substream have from here on: see {@link versionOf}. */
export class VersionChange {
  readonly version: number
  readonly isComplete: boolean
  constructor(version: number, isComplete: boolean) {
    this.version = version
    this.isComplete = isComplete
  }
}
/**
 * Says that the records after it have this version. `complete`: all rows of the version came before, and those of other versions
 * are dropped (ACTIVATE_VERSION).
 */
export const versionOf = (version: number, { complete }: { readonly complete: boolean }): VersionChange =>
  new VersionChange(version, complete)

/** What a group says of one of its substreams. */
export class PartOf {
  readonly substream: string
  readonly part: EncodedRecords | SchemaChange | VersionChange
  constructor(substream: string, part: EncodedRecords | SchemaChange | VersionChange) {
    this.substream = substream
    this.part = part
  }
}
/** Yields something of one substream of a group. */
export const partOf = (substream: string, part: PartOf['part']): PartOf => new PartOf(substream, part)

/** Places that substreams of a group may be resumed from: everything of them that was yielded before is covered. */
export class Bookmarks {
  readonly values: ReadonlyMap<string, Json>
  constructor(values: ReadonlyMap<string, Json>) {
    this.values = values
  }
}
/** Says how far substreams of a group were read; those that it does not name stay where they were. A STATE follows. */
export const bookmarks = (values: ReadonlyMap<string, Json>): Bookmarks => new Bookmarks(values)

/** A substream of a group that was chosen. */
export interface GroupMember {
  readonly name: string
  /** The value that was last given for it by {@link bookmarks}, or undefined. */
  readonly bookmark: Json | undefined
  /** The fields wanted, or undefined for all. */
  readonly fields: ReadonlySet<string> | undefined
}

/** What the code that reads a group is given: the members that were chosen, at least one. */
export interface GroupContext<C extends ConfigSpec = ConfigSpec> extends StreamerContext<C> {
  readonly members: readonly GroupMember[]
}

/**
 * Substreams that come out of one reading, each with a bookmark of its own: the tables in the log of a database. Those that were
 * chosen are read together, at the turn of the first. Asked to stop, the reading ends by itself at a place that can be gone on from.
 */
export interface SubstreamGroup<C extends ConfigSpec = ConfigSpec> {
  readonly records: (ctx: GroupContext<C>) => AsyncIterable<PartOf | Bookmarks>
}

/** How the metadata of a catalog wants a substream to be read: `replication-method`, `replication-key`, `view-key-properties`. */
export interface MethodChoice {
  readonly method: ReplicationMethod | undefined
  readonly replicationKey: string | undefined
  readonly viewKeys: readonly string[] | undefined
}

/** What reading a substream yields: records one by one or in arrays (arrays are faster), and word about them. */
export type Yielded =
  | JsonObject
  | readonly JsonObject[]
  | EncodedRecords
  | Bookmark
  | RecordsOf
  | SchemaChange
  | Unchanged

/** One kind of record of a streamer, and how to read it. */
export interface Substream<C extends ConfigSpec = ConfigSpec> extends SubstreamInfo {
  /**
   * The schema is known only once records were seen: discovery asks this for it, `schema` is not used, and reading yields
   * a schemaChange before its first record.
   */
  readonly findSchema?: () => Promise<JsonObject>
  /**
   * The substream whose reading gives the records of this one too. Where both are selected and have the same bookmark,
   * only that one is read, with this one's name in `together`.
   */
  readonly readWith?: string
  /** The group whose reading gives its records; `records` is not used then. */
  readonly group?: SubstreamGroup<C>
  /** The same substream, read as a catalog wants it. Throws CATALOG_INVALID. Left out: it is read in one way only, or as a whole. */
  readonly choose?: (choice: MethodChoice) => Substream<C>
  readonly records: (ctx: SubstreamContext<C>) => AsyncIterable<Yielded> | Iterable<Yielded>
}

/** What the reference page of a streamer tells besides its settings. */
export interface StreamerReference {
  /** Settings with which `substreams` answers without asking the source: the page then lists them with their fields. */
  readonly settings?: JsonObject
  /** Where the substreams come from, in a sentence, where they are not known beforehand. */
  readonly substreams?: string
  /** A state as a persister prints it, and in a sentence what its parts mean. */
  readonly state?: { readonly example: Json; readonly doc: string }
  /** The page that tells the rest, as a path from docs/reference. */
  readonly page?: string
}

/** What a program of somebody else is given to read with. */
export interface ProgramContext<C extends ConfigSpec = ConfigSpec> extends StreamerContext<C> {
  /** What was chosen; undefined where nobody chose. */
  readonly catalog: JsonObject | undefined
  readonly state: Json | undefined
  /** A descriptor that the program may write its messages to by itself; undefined: they go through `write`. */
  readonly direct: number | undefined
  readonly write: (chunk: Uint8Array) => void | Promise<void>
}

/**
 * A streamer that is a program of somebody else, which writes its messages by itself. Nothing of them is looked at: what is
 * counted and checked is the persister's business.
 */
export interface StreamerProgram<C extends ConfigSpec = ConfigSpec> {
  /** Its catalog as it gives it. */
  readonly discover: (ctx: StreamerContext<C>) => Promise<JsonObject>
  /** Resolves when the program came to its end, or was stopped by the signal. Throws its failure. */
  readonly sync: (ctx: ProgramContext<C>) => Promise<void>
}

/** A streamer: takes data out of a source. Made by {@link defineStreamer}. */
export interface Streamer<C extends ConfigSpec = ConfigSpec> {
  readonly kind: 'streamer'
  readonly name: string
  /** One sentence: what it reads. */
  readonly doc: string
  readonly config: C
  /** The substreams there are. Asks the source where they are not known beforehand. */
  readonly substreams: (ctx: StreamerContext<C>) => Promise<readonly Substream<C>[]> | readonly Substream<C>[]
  /** Proves quickly that the settings reach the source. Throws what is wrong. */
  readonly check?: (ctx: StreamerContext<C>) => Promise<void>
  readonly reference?: StreamerReference
  /**
   * Reads states that other programs, or older versions, wrote of the same source, whatever JSON they are; one of its own
   * it answers as it is. Throws STATE_UNREADABLE. Left out: a state is an object with `bookmarks`.
   */
  readonly olderState?: (state: Json) => Json
  /** For a streamer that is another program: asked in place of `substreams`. */
  readonly program?: StreamerProgram<C>
}
