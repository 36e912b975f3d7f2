/** The pages of a substream, and of one whose records belong to records of another. */
import { isObject, type Json, type JsonObject, MillraceError } from '@millrace/sdk'
import { type HttpClient, inOrder, jsonPath, type Page, type PagePosition, pages, valueAt } from '@millrace/sdk/http'
import type { SubstreamSpec } from './substream-spec.ts'

/** What all substreams of a run share. */
export interface Api {
  readonly client: HttpClient
  readonly maxPages: number
  readonly maxConcurrent: number
  readonly secretParameters: readonly string[]
}

/** A page's records; or, of a child substream, the end of a page of its parents. */
export interface Chunk {
  readonly records: readonly JsonObject[]
  /** Where to go on when everything up to here was taken; undefined where there is no such place yet, or no more. */
  readonly next: PagePosition | undefined
  readonly notModified: boolean
  /** The tag of an answer that was the only page. */
  readonly etag: string | undefined
  /** When the server answered, by its own clock; milliseconds since 1970. */
  readonly answeredAt: number | undefined
}

export interface From {
  /** The value in place of `{start}`; parameters with it are left out where there is none. */
  readonly start: Json | undefined
  readonly page?: PagePosition | undefined
  readonly etag?: string | undefined
}

/** A fixed parameter with such a name is kept out of states. */
const isSecretName = /key|token|secret|password|signature/i

/** All pages, in order. Child substreams ask for the children of several parents side by side. */
export async function* traverse(api: Api, spec: SubstreamSpec, from: From): AsyncGenerator<Chunk, void, undefined> {
  if (spec.parent === undefined) {
    let isFirst = true
    for await (const page of pagesOf(api, spec, from, { parents: [], signal: undefined })) {
      yield {
        records: page.records.map(recordOf),
        next: page.next,
        notModified: page.answer.notModified,
        etag: isFirst && page.next === undefined ? page.answer.etag : undefined,
        answeredAt: answeredAt(page),
      }
      isFirst = false
    }
    return
  }
  // Parents are read whole, as a child may be new where its parent is not; but not where it comes within its parent.
  const start = spec.within === undefined ? spec.parent.startFrom : from.start
  for await (const parents of traverse(api, spec.parent, { start, page: from.page })) {
    if (spec.within !== undefined) {
      const records = parents.records.flatMap((p) => recordsWithin(spec, p))
      yield { ...parents, records, etag: undefined }
      continue
    }
    yield* childrenOf(api, spec, from, parents.records)
    yield { records: [], next: parents.next, notModified: false, etag: undefined, answeredAt: parents.answeredAt }
  }
}

/** The children that stand in a record of their parent. */
const recordsWithin = (spec: SubstreamSpec, parent: JsonObject): readonly JsonObject[] => {
  const found = valueAt(parent, jsonPath(spec.within ?? ''))
  const children = Array.isArray(found)
    ? (found as readonly Json[])
    : found === undefined || found === null
      ? []
      : [found]
  return children.map((c) => withParent(spec, recordOf(c), parent))
}

async function* childrenOf(
  api: Api,
  spec: SubstreamSpec,
  from: From,
  parents: readonly JsonObject[],
): AsyncGenerator<Chunk, void, undefined> {
  const groups: (readonly JsonObject[])[] = []
  for (let i = 0; i < parents.length; i += spec.parentsPerRequest)
    groups.push(parents.slice(i, i + spec.parentsPerRequest))
  // Only first pages are asked for ahead, so that memory is bounded by their number.
  const begun = inOrder(groups, api.maxConcurrent, async (group, signal) => {
    const rest = pagesOf(api, spec, { start: from.start }, { parents: group, signal })
    return { group, first: await rest.next(), rest }
  })
  for await (const { group, first, rest } of begun)
    for (let turn = first; turn.done !== true; turn = await rest.next())
      yield {
        records: turn.value.records.map((r) => withParent(spec, recordOf(r), group[0])),
        next: undefined,
        notModified: false,
        etag: undefined,
        answeredAt: answeredAt(turn.value),
      }
}

const pagesOf = (
  api: Api,
  spec: SubstreamSpec,
  from: From,
  { parents, signal }: { readonly parents: readonly JsonObject[]; readonly signal: AbortSignal | undefined },
): AsyncGenerator<Page, void, undefined> => {
  const fill = (template: string, encode: (s: string) => string): string | undefined => {
    let isKnown = true
    const filled = template.replace(/\{(start|parent\.[^{}]+)\}/g, (_, hole: string) => {
      if (hole === 'start') {
        if (from.start === undefined || from.start === null) isKnown = false
        return encode(textOf(from.start) ?? '')
      }
      return parents.map((p) => encode(parentValue(spec, p, hole.slice('parent.'.length)))).join(',')
    })
    return isKnown ? filled : undefined
  }
  const known = (hole: string): Json | undefined => {
    if (hole === 'start') return from.start ?? undefined
    const values = parents.map((p) => parentJson(spec, p, hole.slice('parent.'.length)))
    return spec.parentsPerRequest > 1 ? values : values[0]
  }
  /** A text that is one hole becomes the value itself, a number a number; without a value its member is left out. */
  const fillJson = (value: Json): Json | undefined => {
    if (typeof value === 'string') {
      const whole = /^\{(start|parent\.[^{}]+)\}$/.exec(value)?.[1]
      return whole === undefined ? fill(value, (s) => s) : known(whole)
    }
    if (Array.isArray(value)) return (value as readonly Json[]).map(fillJson).filter((v) => v !== undefined)
    return isObject(value) ? fillObject(value) : value
  }
  const fillObject = (value: JsonObject): JsonObject =>
    Object.fromEntries(
      Object.entries(value).flatMap(([name, v]) => {
        const filled = fillJson(v)
        return filled === undefined ? [] : [[name, filled]]
      }),
    )
  return pages(api.client, {
    ...(spec.body === undefined ? {} : { body: fillObject(spec.body) }),
    errorsAt: spec.errorsAt,
    path: fill(spec.path, encodeURIComponent) ?? spec.path.replaceAll('{start}', ''),
    query: Object.fromEntries(Object.entries(spec.query).map(([name, t]) => [name, fill(t, (s) => s)])),
    pages: spec.pages,
    recordsAt: spec.recordsAt,
    from: from.page,
    etag: from.etag,
    accept: spec.emptyStatuses,
    maxPages: api.maxPages,
    signal,
    secretParameters: [...api.secretParameters, ...Object.keys(spec.query).filter((name) => isSecretName.test(name))],
  })
}

const answeredAt = (page: Page): number | undefined => {
  const at = Date.parse(page.answer.headers['date'] ?? '')
  return Number.isNaN(at) ? undefined : at
}

/** What is no object becomes one. */
const recordOf = (v: Json): JsonObject => (isObject(v) ? v : { value: v })

const withParent = (spec: SubstreamSpec, record: JsonObject, parent: JsonObject | undefined): JsonObject => {
  const added = Object.entries(spec.parentFields)
  if (added.length === 0 || parent === undefined) return record
  return { ...record, ...Object.fromEntries(added.map(([to, of]) => [to, valueAt(parent, jsonPath(of)) ?? null])) }
}

const parentValue = (spec: SubstreamSpec, parent: JsonObject, field: string): string =>
  String(parentJson(spec, parent, field))

const parentJson = (spec: SubstreamSpec, parent: JsonObject, field: string): Json => {
  const value = valueAt(parent, jsonPath(field))
  if (value === undefined || textOf(value) === undefined || value === '')
    throw new MillraceError('SOURCE_MALFORMED', {
      why: `a record of ${spec.parent?.name} has no ${field}, which ${spec.name} is asked for with`,
      fix: `Check {parent.${field}} of substream ${spec.name}.`,
    })
  return value
}

const textOf = (v: Json | undefined): string | undefined =>
  v === undefined || v === null || isObject(v) || Array.isArray(v) ? undefined : String(v)
