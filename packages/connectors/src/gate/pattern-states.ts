/** Regular expressions as sets of states, walked in one pass over the text: no text makes them slow. */

/** Beyond this many states a pattern is refused: `(.{1000}){1000}`. */
const maxStates = 5_000

/** A regular expression, read. */
export type Node =
  | { readonly is: 'char'; readonly test: (code: number) => boolean }
  | { readonly is: 'assert'; readonly holds: (text: readonly number[], at: number) => boolean }
  | { readonly is: 'sequence'; readonly of: readonly Node[] }
  | { readonly is: 'either'; readonly of: readonly Node[] }
  | { readonly is: 'repeat'; readonly of: Node; readonly min: number; readonly max: number }

/** Thrown where a pattern has something that states cannot do. */
export class Unsupported extends Error {}

const isWordCode = (c: number | undefined): boolean =>
  c !== undefined && ((c >= 48 && c <= 57) || (c >= 65 && c <= 90) || c === 95 || (c >= 97 && c <= 122))

/** A test for one character, asked of the language's own engine once for each ASCII character. */
const charTest = (source: string): ((code: number) => boolean) => {
  const one = new RegExp(`^(?:${source})$`, 'u')
  const ascii = Uint8Array.from({ length: 128 }, (_, c) => (one.test(String.fromCharCode(c)) ? 1 : 0))
  return (code) => (code < 128 ? ascii[code] === 1 : one.test(String.fromCodePoint(code)))
}

/** Reads a pattern into nodes. The pattern is known to be one that `new RegExp(pattern, 'u')` accepts. */
export class PatternReader {
  readonly #text: string
  #at = 0
  #depth = 0
  constructor(text: string) {
    this.#text = text
  }

  read(): Node {
    const node = this.#either()
    if (this.#at < this.#text.length) throw new Unsupported('is unbalanced')
    return node
  }

  #either(): Node {
    if (++this.#depth > 200) throw new Unsupported('is nested too deep')
    const of = [this.#sequence()]
    while (this.#text[this.#at] === '|') {
      this.#at++
      of.push(this.#sequence())
    }
    this.#depth--
    return of.length === 1 ? (of[0] as Node) : { is: 'either', of }
  }

  #sequence(): Node {
    const of: Node[] = []
    while (this.#at < this.#text.length && this.#text[this.#at] !== '|' && this.#text[this.#at] !== ')') {
      const atom = this.#atom()
      of.push(this.#repeated(atom))
    }
    return { is: 'sequence', of }
  }

  #repeated(atom: Node): Node {
    const m = /^(?:[*+?]|\{(\d+)(,(\d*))?\})\??/.exec(this.#text.slice(this.#at, this.#at + 40))
    if (m === null) return atom
    this.#at += m[0].length
    const sign = m[0][0]
    if (sign === '*') return { is: 'repeat', of: atom, min: 0, max: Infinity }
    if (sign === '+') return { is: 'repeat', of: atom, min: 1, max: Infinity }
    if (sign === '?') return { is: 'repeat', of: atom, min: 0, max: 1 }
    const min = Number(m[1])
    return { is: 'repeat', of: atom, min, max: m[2] === undefined ? min : m[3] === '' ? Infinity : Number(m[3]) }
  }

  #atom(): Node {
    const c = this.#text[this.#at] as string
    switch (c) {
      case '(':
        return this.#group()
      case '[':
        return { is: 'char', test: charTest(this.#class()) }
      case '^':
        this.#at++
        return { is: 'assert', holds: (_text, at) => at === 0 }
      case '$':
        this.#at++
        return { is: 'assert', holds: (text, at) => at === text.length }
      case '\\':
        return this.#escape()
      default: {
        const whole = String.fromCodePoint(this.#text.codePointAt(this.#at) as number)
        this.#at += whole.length
        return { is: 'char', test: charTest(whole === '/' ? '\\/' : whole) }
      }
    }
  }

  #group(): Node {
    const open = /^\((?:\?:|\?<[^=!>]+>)?/.exec(this.#text.slice(this.#at, this.#at + 100))?.[0] ?? '('
    this.#at += open.length
    if (open === '(' && this.#text[this.#at] === '?') throw new Unsupported('looks around')
    const inside = this.#either()
    if (this.#text[this.#at] !== ')') throw new Unsupported('is unbalanced')
    this.#at++
    return inside
  }

  #class(): string {
    const from = this.#at
    for (this.#at++; this.#text[this.#at] !== ']'; this.#at++) {
      if (this.#at >= this.#text.length) throw new Unsupported('is unbalanced')
      if (this.#text[this.#at] === '\\') this.#at++
    }
    this.#at++
    return this.#text.slice(from, this.#at)
  }

  #escape(): Node {
    const rest = this.#text.slice(this.#at, this.#at + 60)
    if (/^\\[1-9k]/.test(rest)) throw new Unsupported('refers back')
    if (/^\\[bB]/.test(rest)) {
      this.#at += 2
      const wanted = rest[1] === 'b'
      return { is: 'assert', holds: (text, at) => (isWordCode(text[at - 1]) !== isWordCode(text[at])) === wanted }
    }
    const m = /^\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|c[a-zA-Z]|[\s\S])/.exec(rest)
    if (m === null) throw new Unsupported('has an escape that is not known')
    this.#at += m[0].length
    return { is: 'char', test: charTest(m[0]) }
  }
}

/** One state: a character to take, an assertion to hold, or only ways on. */
interface State {
  readonly test?: (code: number) => boolean
  readonly holds?: (text: readonly number[], at: number) => boolean
  readonly next: number[]
}

/** Compiles nodes into states, ends first: state 0 is the match. */
const statesOf = (root: Node): { readonly states: readonly State[]; readonly first: number } => {
  const states: State[] = [{ next: [] }]
  const add = (state: State): number => {
    if (states.length >= maxStates) throw new Unsupported('is too large')
    return states.push(state) - 1
  }
  /** The state from which `node` and then `to` is matched. */
  const build = (node: Node, to: number): number => {
    switch (node.is) {
      case 'char':
        return add({ test: node.test, next: [to] })
      case 'assert':
        return add({ holds: node.holds, next: [to] })
      case 'sequence':
        return node.of.reduceRight((next, part) => build(part, next), to)
      case 'either':
        return add({ next: node.of.map((part) => build(part, to)) })
      case 'repeat': {
        let next = to
        if (node.max === Infinity) {
          const loop = add({ next: [to] })
          ;(states[loop] as State).next.unshift(build(node.of, loop))
          next = loop
        } else {
          for (let i = node.min; i < node.max; i++) next = add({ next: [build(node.of, next), to] })
        }
        for (let i = 0; i < node.min; i++) next = build(node.of, next)
        return next
      }
      default:
        return node satisfies never
    }
  }
  const first = build(root, 0)
  return { states, first }
}

/** Whether the pattern matches anywhere in the text: all states at once, one pass. */
export const matcher = (root: Node): ((text: string) => boolean) => {
  const { states, first } = statesOf(root)
  const mark = new Uint32Array(states.length)
  let generation = 0
  const stack: number[] = []
  return (text) => {
    const codes = Array.from(text, (c) => c.codePointAt(0) as number)
    let current: number[] = []
    let following: number[] = []
    /** Adds a state and all that follow without taking a character; answers whether the match is among them. */
    const enter = (state: number, at: number, into: number[]): boolean => {
      stack.length = 0
      stack.push(state)
      for (let s = stack.pop(); s !== undefined; s = stack.pop()) {
        if (mark[s] === generation) continue
        mark[s] = generation
        if (s === 0) return true
        const { test, holds, next } = states[s] as State
        if (test !== undefined) into.push(s)
        else if (holds === undefined || holds(codes, at)) for (const n of next) stack.push(n)
      }
      return false
    }
    if (generation > 0xffff0000) {
      mark.fill(0)
      generation = 0
    }
    generation++
    for (let at = 0; ; at++) {
      if (enter(first, at, current)) return true
      if (at >= codes.length) return false
      if (generation > 0xffff0000) {
        mark.fill(0)
        generation = 0
      }
      generation++
      const code = codes[at] as number
      following.length = 0
      for (const s of current) {
        const { test, next } = states[s] as State
        if (test?.(code) === true && enter(next[0] as number, at + 1, following)) return true
      }
      const done = current
      current = following
      following = done
    }
  }
}
