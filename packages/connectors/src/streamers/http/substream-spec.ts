/** What the settings say of one substream: read, checked, with every mistake told at once. */
import { isObject, type Json, type JsonObject, MillraceError, nearest } from '@millrace/sdk'
import { jsonPath, type PageStyle, withValueAt } from '@millrace/sdk/http'

export interface SubstreamSpec {
  readonly name: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  /** Sent by POST, with the same holes as `query`; GET where there is none. */
  readonly body: JsonObject | undefined
  /** Where an answer tells that it failed, though its status says otherwise. */
  readonly errorsAt: string | undefined
  /** Where the records are in the body. */
  readonly recordsAt: string
  readonly pages: PageStyle
  readonly keys: readonly string[]
  readonly replicationKey: string | undefined
  /** Where the first run starts, in place of a value of the replication key. */
  readonly startFrom: Json | undefined
  /** How the replication key runs through the pages. */
  readonly order: 'rising' | 'falling' | 'none'
  readonly schema: JsonObject | undefined
  readonly versioned: boolean
  readonly parent: SubstreamSpec | undefined
  /** Where in its parent's record it stands: nothing is asked for then but the parents. */
  readonly within: string | undefined
  readonly parentsPerRequest: number
  /** Field of the record → field of its parent. */
  readonly parentFields: Readonly<Record<string, string>>
  /** Statuses that mean that there are no records. */
  readonly emptyStatuses: readonly number[]
  /** A run that was stopped goes on at its page. */
  readonly resume: boolean
  readonly selected: boolean
}

const fields = [
  'path',
  'query',
  'body',
  'errors',
  'records',
  'pages',
  'keys',
  'replicationKey',
  'startParameter',
  'startFrom',
  'order',
  'schema',
  'versioned',
  'parent',
  'within',
  'parentsPerRequest',
  'parentFields',
  'emptyStatuses',
  'resume',
  'selected',
] as const
const pageFields = ['style', 'at', 'parameter', 'first', 'limit', 'limitParameter', 'more'] as const
const styles = ['none', 'link', 'next-url', 'cursor', 'last-record', 'offset', 'page'] as const

/** The specs, parents before children. Throws CONFIG_INVALID. */
export const substreamSpecs = (all: JsonObject, defaultPages: JsonObject): readonly SubstreamSpec[] => {
  const problems: string[] = []
  const specs = new Map<string, SubstreamSpec>()
  const open = new Set<string>()
  const specOf = (name: string): SubstreamSpec | undefined => {
    const known = specs.get(name)
    if (known !== undefined) return known
    const raw = all[name]
    if (raw === undefined || open.has(name)) return undefined
    open.add(name)
    const reading = new Reading(name, raw, problems)
    const parentName = reading.optionalText('parent')
    const parent = parentName === undefined ? undefined : specOf(parentName)
    if (parentName !== undefined && parent === undefined)
      reading.problem(
        open.has(parentName)
          ? `its parent ${parentName} has it as its own parent`
          : `its parent ${parentName} is not there`,
      )
    const spec = reading.spec(parent, defaultPages)
    open.delete(name)
    specs.set(name, spec)
    return spec
  }
  for (const name of Object.keys(all)) specOf(name)
  if (specs.size === 0) problems.push('substreams names none')
  if (problems.length > 0)
    throw new MillraceError('CONFIG_INVALID', {
      what: 'streamer http',
      problems,
      fix: 'docs/reference/http.md describes every setting of a substream.',
    })
  return [...specs.values()]
}

/** One raw object, and the mistakes found in it. */
class Reading {
  readonly #where: string
  readonly #problems: string[]
  readonly #name: string
  #raw: JsonObject

  constructor(name: string, raw: Json, problems: string[]) {
    this.#name = name
    this.#where = `substreams.${name}`
    this.#problems = problems
    this.#raw = isObject(raw) ? this.#known(raw, fields, '') : {}
    if (!isObject(raw)) this.problem('must be an object')
  }

  problem(what: string): void {
    this.#problems.push(`${this.#where}: ${what}`)
  }

  /** Names may be written orderBy, order_by or order-by. */
  #known(raw: JsonObject, names: readonly string[], prefix: string): JsonObject {
    const result: Record<string, Json> = {}
    for (const [key, value] of Object.entries(raw)) {
      const plain = key.replace(/[-_]([a-z])/g, (_, c: string) => c.toUpperCase())
      if (names.includes(plain)) result[plain] = value
      else {
        const near = nearest(plain, names)
        this.problem(
          `"${prefix}${key}" is not a setting${near.length > 0 ? `; did you mean ${near.join(' or ')}?` : ''}`,
        )
      }
    }
    return result
  }

  optionalText(key: string): string | undefined {
    const v = this.#raw[key]
    if (v === undefined || v === null) return undefined
    if (typeof v !== 'string') this.problem(`${key} must be text`)
    return typeof v === 'string' ? v : undefined
  }

  #flag(key: string, otherwise: boolean): boolean {
    const v = this.#raw[key] ?? otherwise
    if (typeof v !== 'boolean') this.problem(`${key} must be true or false`)
    return v === true
  }

  #whole(from: JsonObject, key: string, least: number): number | undefined {
    const v = from[key]
    if (v === undefined || v === null) return undefined
    if (typeof v === 'number' && Number.isSafeInteger(v) && v >= least) return v
    this.problem(`${key} must be a whole number of at least ${least}`)
    return undefined
  }

  #texts(key: string): Record<string, string> {
    const v = this.#raw[key]
    if (v === undefined || v === null) return {}
    const texts: Record<string, string> = {}
    if (!isObject(v)) this.problem(`${key} must be an object`)
    else
      for (const [name, value] of Object.entries(v)) {
        if (typeof value === 'object') this.problem(`${key}.${name} must be text or a number`)
        else texts[name] = String(value)
      }
    return texts
  }

  #list(key: string): readonly Json[] {
    const v = this.#raw[key]
    if (v === undefined || v === null) return []
    return Array.isArray(v) ? (v as readonly Json[]) : [v]
  }

  #pages(defaultPages: JsonObject): PageStyle {
    const raw = this.#raw['pages'] ?? defaultPages
    if (!isObject(raw)) {
      this.problem('pages must be an object, such as { style: link }')
      return { style: 'none' }
    }
    const p = this.#known(raw, pageFields, 'pages.')
    const style = p['style'] ?? 'none'
    if (typeof style !== 'string' || !(styles as readonly string[]).includes(style)) {
      this.problem(`pages.style must be one of ${styles.join(', ')}`)
      return { style: 'none' }
    }
    const part = (key: string): string | undefined => (typeof p[key] === 'string' ? (p[key] as string) : undefined)
    for (const key of {
      'next-url': ['at'],
      cursor: ['at', 'parameter'],
      'last-record': ['at', 'parameter'],
      offset: ['parameter'],
      page: ['parameter'],
    }[style] ?? [])
      if (part(key) === undefined) this.problem(`pages.${key} is missing (style ${style} needs it)`)
    return {
      style,
      at: part('at') ?? '',
      parameter: part('parameter') ?? '',
      first: this.#whole(p, 'first', 0),
      limit: this.#whole(p, 'limit', 1),
      limitParameter: part('limitParameter'),
      more: part('more'),
    } as PageStyle
  }

  spec(parent: SubstreamSpec | undefined, defaultPages: JsonObject): SubstreamSpec {
    const pages = this.#pages(defaultPages)
    const query = this.#texts('query')
    const replicationKey = this.optionalText('replicationKey')
    const rawBody = this.#raw['body'] ?? undefined
    if (rawBody !== undefined && !isObject(rawBody)) this.problem('body must be an object')
    let body = rawBody !== undefined && isObject(rawBody) ? rawBody : undefined
    const startParameter = this.optionalText('startParameter')
    if (startParameter !== undefined) {
      if (body === undefined) query[startParameter] ??= '{start}'
      else body = withValueAt(body, jsonPath(startParameter), '{start}')
      if (replicationKey === undefined) this.problem('startParameter needs a replicationKey')
    }
    const order = this.optionalText('order') ?? 'none'
    if (order !== 'rising' && order !== 'falling' && order !== 'none')
      this.problem('order must be rising, falling or none')
    if (order !== 'none' && (replicationKey === undefined || this.#raw['parent'] !== undefined))
      this.problem('order needs a replicationKey and is for substreams without a parent')
    const path = this.optionalText('path') ?? ''
    const within = this.optionalText('within')
    if (this.#raw['path'] === undefined && within === undefined) this.problem('path is missing')
    if (within !== undefined && (this.#raw['path'] !== undefined || this.#raw['parent'] === undefined))
      this.problem('within is for a substream with a parent and without a path')
    const templates = [path, ...Object.values(query)].join(' ')
    const usesParent = /\{parent\./.test([templates, ...textsIn(body)].join(' '))
    if (within === undefined && usesParent !== (this.#raw['parent'] !== undefined))
      this.problem(
        usesParent ? 'it uses {parent.…} and names no parent' : 'it has a parent and {parent.…} stands nowhere',
      )
    for (const [hole] of templates.matchAll(/\{[^}]*\}/g))
      if (hole !== '{start}' && !/^\{parent\.[^}]+\}$/.test(hole))
        this.problem(`${hole} is neither {start} nor {parent.FIELD}`)
    const parentsPerRequest = this.#whole(this.#raw, 'parentsPerRequest', 1) ?? 1
    const parentFields = this.#texts('parentFields')
    if (parentsPerRequest > 1 && Object.keys(parentFields).length > 0)
      this.problem('parentFields cannot be known where one request is for several parents')
    const schema = this.#raw['schema'] ?? undefined
    if (schema !== undefined && !isObject(schema)) this.problem('schema must be a JSON Schema')
    const versioned = this.#flag('versioned', false)
    if (versioned && replicationKey !== undefined) this.problem('versioned is for substreams that are read whole')
    return {
      name: this.#name,
      path,
      query,
      body,
      errorsAt: this.optionalText('errors'),
      recordsAt: this.optionalText('records') ?? '',
      pages,
      keys: this.#list('keys').map(String),
      replicationKey,
      startFrom: this.#raw['startFrom'] ?? undefined,
      order: order as SubstreamSpec['order'],
      schema: isObject(schema as Json) ? (schema as JsonObject) : undefined,
      versioned,
      parent,
      within,
      parentsPerRequest,
      parentFields,
      emptyStatuses:
        this.#raw['emptyStatuses'] === undefined
          ? parent === undefined
            ? []
            : [404, 410]
          : this.#list('emptyStatuses').map(Number),
      // A cursor points at a place in the data; a number of pages or records means another place as soon as rows come or go.
      resume: this.#flag(
        'resume',
        (parent ?? { pages }).pages.style === 'cursor' || (parent ?? { pages }).pages.style === 'last-record',
      ),
      selected: this.#flag('selected', true),
    }
  }
}

/** Whether the server is told where to start, rather than old records being dropped here. */
export const asksForStart = (spec: SubstreamSpec): boolean =>
  (spec.within !== undefined && spec.parent !== undefined && asksForStart(spec.parent)) ||
  [spec.path, ...Object.values(spec.query), ...textsIn(spec.body)].some((t) => t.includes('{start}'))

/** All texts in a value. Braces that are none of our holes are the API's own there: GraphQL is full of them. */
const textsIn = (value: Json | undefined): readonly string[] =>
  typeof value === 'string'
    ? [value]
    : Array.isArray(value)
      ? (value as readonly Json[]).flatMap(textsIn)
      : value !== undefined && isObject(value)
        ? Object.values(value).flatMap(textsIn)
        : []
