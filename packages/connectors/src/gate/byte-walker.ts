/**
 * The nodes of schemas, and the records that are held against them, in the memory of a WebAssembly (byte-check.wat). There
 * is one at a time for all schemas of the process: records of several substreams mostly lie in the same piece of input, which
 * is then copied once.
 */
import { byteCheckWasm } from './byte-check.generated.ts'
import { anyNode, type ByteNode, type PropertyNode } from './byte-nodes.ts'

/** A longer record is parsed. */
const maxRecordBytes = 1024 * 1024
/** So much is copied at once, since the next record mostly stands behind this one. */
const aheadBytes = 32 * 1024
const windowAt = 1024
const nodesAt = 0x110000
/** With more nodes than this a new memory is begun, so that what schemas left behind goes. */
const maxNodesBytes = 16 * 1024 * 1024
const nodeBytes = 32
const propertyBytes = 16
const pageBytes = 65_536
/** Of names that the schema has not, so many bytes are kept to be known again. */
const maxUnnamedBytes = 64 * 1024
/** So many names that the schema has not may stand among the others and be known by their place. */
const orderRoom = 32
const maxOrder = 65_536

const IS_TIME = 1
const HAS_FORMAT = 2
const HAS_BOUNDS = 4

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer; readonly grow: (pages: number) => number }
  readonly check: (node: number, from: number) => number
  readonly checkLines: (node: number, from: number, to: number) => number
}
type Ask = (node: number, a: number, b: number) => number

// The library types have WebAssembly only together with the browser's.
const { WebAssembly: wasm } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Module: new (bytes: Uint8Array) => object
    readonly Instance: new (
      module: object,
      imports: { readonly ask: { readonly text: Ask; readonly number: Ask; readonly property: Ask } },
    ) => { readonly exports: Exports }
  }
}

export class ByteWalker {
  static #module: object | undefined
  static #current: ByteWalker | undefined

  readonly #exports: Exports
  readonly #nodes: ByteNode[] = []
  readonly #places = new Map<ByteNode, number>()
  readonly #properties = new Map<PropertyNode, number>()
  readonly #scratch: number
  #memory: Buffer
  #top = nodesAt
  #unnamedBytes = 0
  /** The piece of input that is in the window: [from, to) of these bytes. They are never changed by whoever made them. */
  #bytes: Buffer | undefined
  #from = 0
  #to = 0

  private constructor() {
    ByteWalker.#module ??= new wasm.Module(Buffer.from(byteCheckWasm, 'base64'))
    this.#exports = new wasm.Instance(ByteWalker.#module, {
      ask: {
        text: (node, from, to) =>
          this.#nodes[node]?.format?.(this.#memory.toString('utf8', from, to)) === true ? 1 : 0,
        number: (node, from, to) => this.#isInBounds(this.#nodes[node] as ByteNode, from, to),
        property: (node, place, from) => this.#propertyAt(this.#nodes[node] as ByteNode, place, from),
      },
    }).exports
    this.#memory = Buffer.from(this.#exports.memory.buffer)
    this.#scratch = this.#room(propertyBytes)
  }

  /** The one at hand. Places that another gave do not count in it. */
  static get current(): ByteWalker {
    if (ByteWalker.#current === undefined || ByteWalker.#current.#top > nodesAt + maxNodesBytes)
      ByteWalker.#current = new ByteWalker()
    return ByteWalker.#current
  }

  /** The place of a node, put there with all that is below it. */
  place(node: ByteNode): number {
    const known = this.#places.get(node)
    if (known !== undefined) return known
    const at = this.#room(nodeBytes)
    this.#places.set(node, at)
    const number = this.#nodes.push(node) - 1
    const order = Math.min(maxOrder, node.properties.size + orderRoom)
    const orderAt = this.#room(order * 4)
    const flags =
      (node.isTime ? IS_TIME : 0) | (node.format === undefined ? 0 : HAS_FORMAT) | (node.hasBounds ? HAS_BOUNDS : 0)
    const maxLength = Math.max(-1, Math.min(0x7fffffff, Math.floor(node.maxLength)))
    const items = this.place(node.items ?? anyNode)
    this.#write(at, [node.types, flags, maxLength, items, node.required, orderAt, order, number])
    for (const [i, property] of [...node.properties.values()].entries()) {
      const propertyAt = this.#room(propertyBytes + property.bytes.length)
      this.#property(propertyAt, property)
      this.#memory.set(property.bytes, propertyAt + propertyBytes)
      this.#properties.set(property, propertyAt)
      if (i < order) this.#write(orderAt + 4 * i, [propertyAt])
    }
    return at
  }

  /** Whether [from, to) is one object that fits the node at this place, for certain. */
  accepts(place: number, bytes: Buffer, from: number, to: number): boolean {
    if (bytes !== this.#bytes || from < this.#from || to > this.#to) {
      if (to - from > maxRecordBytes) return false
      this.#to = Math.min(bytes.length, from + Math.max(to - from, aheadBytes))
      this.#from = from
      this.#bytes = bytes
      this.#memory.set(bytes.subarray(from, this.#to), windowAt)
      this.#memory[windowAt + this.#to - from] = 0
    }
    const at = windowAt + from - this.#from
    return this.#exports.check(place, at) === at + to - from
  }

  /** Whether these are objects that fit the node at this place, all for certain, a newline behind each. */
  acceptsLines(place: number, lines: Buffer): boolean {
    if (lines.length > maxRecordBytes) return false
    this.#bytes = undefined
    this.#memory.set(lines, windowAt)
    this.#memory[windowAt + lines.length] = 0
    return this.#exports.checkLines(place, windowAt, windowAt + lines.length) === 1
  }

  /** Fresh room, all zeros, with 16 bytes behind it. */
  #room(bytes: number): number {
    const at = this.#top
    this.#top = (at + bytes + 31) & ~15
    const missing = this.#top - this.#exports.memory.buffer.byteLength
    if (missing > 0) {
      this.#exports.memory.grow(Math.ceil(missing / pageBytes))
      this.#memory = Buffer.from(this.#exports.memory.buffer)
    }
    return at
  }

  #write(at: number, numbers: readonly number[]): void {
    for (const [i, n] of numbers.entries()) this.#memory.writeInt32LE(n, at + 4 * i)
  }

  #property(at: number, { bytes, node, bit, isKey }: PropertyNode): void {
    this.#write(at, [bytes.length, this.place(node), bit, isKey ? 1 : 0])
  }

  #isInBounds(node: ByteNode, from: number, to: number): number {
    const n = Number(this.#memory.toString('latin1', from, to))
    return n >= node.minimum && n <= node.maximum && node.isMultiple?.(n) !== false ? 1 : 0
  }

  /** The place of the property whose name stands at `from`; 0 where there is none, or where it is not sure which. */
  #propertyAt(node: ByteNode, place: number, from: number): number {
    if (this.#memory[from] !== 34) return 0
    let end = from + 1
    for (;;) {
      const c = this.#memory[end] as number
      if (c === 34) break
      // An escaped name may be any name; let the parser say which.
      if (c === 92 || c < 32) return 0
      end++
    }
    const property = node.properties.get(this.#memory.toString('utf8', from + 1, end))
    if (property === undefined && node.others === undefined) return 0
    const at =
      property === undefined
        ? this.#unnamed(node.others as ByteNode, from, end + 1)
        : (this.#properties.get(property) as number)
    const nodeAt = this.#places.get(node) as number
    if (at !== this.#scratch && place < this.#memory.readInt32LE(nodeAt + 24))
      this.#write(this.#memory.readInt32LE(nodeAt + 20) + 4 * place, [at])
    return at
  }

  /** A property that the schema does not name. Where too many were kept, it is forgotten by the next. */
  #unnamed(node: ByteNode, from: number, to: number): number {
    const bytes = Uint8Array.from(this.#memory.subarray(from, to))
    this.#unnamedBytes += bytes.length + propertyBytes
    const isKept = this.#unnamedBytes <= maxUnnamedBytes
    const at = isKept ? this.#room(propertyBytes + bytes.length) : this.#scratch
    this.#property(at, { bytes, node, bit: 0, isKey: false })
    if (isKept) this.#memory.set(bytes, at + propertyBytes)
    return at
  }
}
