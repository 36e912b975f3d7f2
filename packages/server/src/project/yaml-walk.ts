/** Reading a YAML document with a place (line, column) for everything that is wrong, all of it at once. */
import { Decimal, exactNumber, isJsonNumber, type Json, nearest } from '@millrace/sdk'
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type YAMLMap,
} from 'yaml'

/** How many values a project file may hold: aliases of aliases are not followed without end. */
const maxValues = 100_000

/** One entry of a map: its key's text and place, and its value. */
export interface Entry {
  readonly key: string
  readonly keyNode: unknown
  readonly value: Node | null
}

/** A document and the problems found in it so far. */
export class YamlWalk {
  readonly problems: string[] = []
  readonly #lines = new LineCounter()
  readonly #document: Document.Parsed
  #values = 0

  constructor(source: string) {
    this.#document = parseDocument(source, { lineCounter: this.#lines, prettyErrors: false })
    for (const e of [...this.#document.errors, ...this.#document.warnings]) {
      const { line, col } = this.#lines.linePos(e.pos[0])
      this.problems.push(`line ${line} column ${col}: ${e.message.split('\n')[0]}`)
    }
  }

  /** Whether the text is YAML at all; if not, `problems` says why. */
  get readable(): boolean {
    return this.#document.errors.length === 0
  }

  get root(): Node | null {
    return this.#document.contents
  }

  /** Adds a problem at the place of a node. */
  problem(node: unknown, text: string): void {
    this.problems.push(`${this.#place(node)}: ${text}`)
  }

  #place(node: unknown): string {
    const offset = (node as { range?: readonly number[] | null } | null)?.range?.[0]
    const { line, col } = offset === undefined ? { line: 1, col: 1 } : this.#lines.linePos(offset)
    return `line ${line} column ${col}`
  }

  /** The place of what a path of keys leads to, or of the deepest thing on it that is there. */
  placeOf(path: readonly string[]): string {
    let at: unknown = this.root
    let node: unknown = at
    for (const step of path) {
      const inside = this.#followed(at)
      const entry = isMap(inside) ? this.#entriesOf(inside).find((e) => e.key === step) : undefined
      at = entry?.value ?? (isSeq(inside) ? inside.items[Number(step)] : undefined)
      node = entry?.keyNode ?? at ?? node
      if (at === undefined) break
    }
    return this.#place(node)
  }

  #followed(node: unknown): Node | null {
    return (isAlias(node) ? (node.resolve(this.#document) ?? null) : (node ?? null)) as Node | null
  }

  /** The entries of a map; a problem and none where it is something else. */
  entries(node: unknown, what: string): readonly Entry[] {
    const map = this.#followed(node)
    if (!isMap(map)) {
      this.problem(node, `${what} must be a map of names and values`)
      return []
    }
    return this.#entriesOf(map)
  }

  #entriesOf(map: YAMLMap): readonly Entry[] {
    return map.items.map((item) => {
      const key = isScalar(item.key) ? String(item.key.value) : String(item.key)
      return { key, keyNode: item.key, value: this.#followed(item.value) }
    })
  }

  /** The entries of a map by key, where only these keys may be; others are problems that offer a near name. */
  fields(node: unknown, what: string, known: readonly string[]): ReadonlyMap<string, Entry> {
    const found = new Map<string, Entry>()
    for (const entry of this.entries(node, what)) {
      if (known.includes(entry.key)) found.set(entry.key, entry)
      else {
        const near = nearest(entry.key, known)
        this.problem(
          entry.keyNode,
          `${what} has no "${entry.key}"${near.length > 0 ? `; did you mean ${near.join(' or ')}?` : ` (it has ${known.join(', ')})`}`,
        )
      }
    }
    return found
  }

  /** The items of a list, or undefined where it is something else. */
  items(node: unknown): readonly unknown[] | undefined {
    const seq = this.#followed(node)
    return isSeq(seq) ? seq.items.map((item) => this.#followed(item)) : undefined
  }

  /** The value of a scalar, or undefined where it is something else. */
  scalar(node: unknown): unknown {
    const at = this.#followed(node)
    return isScalar(at) ? at.value : undefined
  }

  isMap(node: unknown): boolean {
    return isMap(this.#followed(node))
  }

  /** A node as JSON, numbers digit for digit. `onText` sees every text with its place. */
  json(node: unknown, onText: (text: string, node: unknown) => void): Json {
    const at = this.#followed(node)
    if (++this.#values > maxValues) {
      if (this.#values === maxValues + 1) this.problem(node, `more than ${maxValues} values`)
      return null
    }
    if (isMap(at)) {
      // Without a prototype, so that a key called __proto__ is a key.
      const object: Record<string, Json> = Object.create(null) as Record<string, Json>
      for (const { key, value } of this.#entriesOf(at)) object[key] = this.json(value, onText)
      return object
    }
    if (isSeq(at)) return at.items.map((item) => this.json(item, onText))
    if (!isScalar(at)) return null
    const { value, source } = at
    if (typeof value === 'string') onText(value, node)
    if (typeof value === 'number') {
      if (!Number.isFinite(value)) this.problem(node, 'JSON has no such number')
      return source !== undefined && isJsonNumber(source) ? exactNumber(value, source) : value
    }
    if (
      typeof value === 'bigint' ||
      typeof value === 'boolean' ||
      typeof value === 'string' ||
      value instanceof Decimal
    )
      return value
    return value === null || value === undefined ? null : String(value)
  }
}
