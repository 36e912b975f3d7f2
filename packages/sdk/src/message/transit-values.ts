/** What Transit has and JSON has not: small typed values, so that a decoded element can be written back as it came. */

/** A moment. `text` is kept where it says more than milliseconds do. */
export class Instant {
  /** Milliseconds since 1970 UTC; may be negative. */
  readonly ms: number
  /** RFC 3339 in UTC. */
  readonly text: string
  constructor(ms: number, text?: string) {
    this.ms = ms
    this.text = text ?? new Date(ms).toISOString()
  }
}

/** A name as data (Clojure's `:name`). */
export class Keyword {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** A symbol's name. */
export class TransitSymbol {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** A UUID in its usual text, lower case. */
export class Uuid {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** An address, not resolved and not checked. */
export class Uri {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** A single character. */
export class Char {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** A set; its values in the order they came. */
export class TransitSet {
  readonly values: readonly unknown[]
  constructor(values: readonly unknown[]) {
    this.values = values
  }
}

/** A list, which Transit tells apart from an array. */
export class TransitList {
  readonly values: readonly unknown[]
  constructor(values: readonly unknown[]) {
    this.values = values
  }
}

/** A map with keys that are not all strings, in the order they came. */
export class TransitMap {
  readonly entries: readonly (readonly [unknown, unknown])[]
  constructor(entries: readonly (readonly [unknown, unknown])[]) {
    this.entries = entries
  }
}

/** A hyperlink; members `href`, `rel`, `name`, `render`, `prompt`. */
export class Link {
  readonly members: unknown
  constructor(members: unknown) {
    this.members = members
  }
}

/** A value with a tag we do not know: written back as it came. */
export class Tagged {
  readonly tag: string
  readonly rep: unknown
  constructor(tag: string, rep: unknown) {
    this.tag = tag
    this.rep = rep
  }
}

/** Sets a member of an object; `__proto__` is a key like any other. */
export const putMember = (out: Record<string, unknown>, key: string, value: unknown): void => {
  if (key === '__proto__')
    Object.defineProperty(out, key, { value, enumerable: true, configurable: true, writable: true })
  else out[key] = value
}
