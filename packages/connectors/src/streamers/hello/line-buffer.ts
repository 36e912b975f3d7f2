const ZERO = 48
const DOT = 46
const COLON = 58
const ZULU = 90
const pow10 = [1, 10, 100, 1000, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15] as const

/** A step in which pieces are put. */
const step = 8

/**
 * Text to be put again and again, in UTF-8, cut into steps of eight bytes that are kept as doubles: a double is written to any
 * place in one go. None of them is NaN, whose bits might be changed: that takes a last byte of 0x7f or 0xff.
 */
export class Piece {
  readonly length: number
  readonly steps: readonly number[]

  constructor(text: string) {
    const bytes = Buffer.from(text)
    const view = new DataView(new ArrayBuffer(Math.ceil(bytes.length / step) * step))
    new Uint8Array(view.buffer).set(bytes)
    this.length = bytes.length
    this.steps = Array.from({ length: view.byteLength / step }, (_, i) => view.getFloat64(i * step, true))
  }
}

/** A block of lines that is filled piece by piece. The caller minds that it has room. */
export class LineBuffer {
  readonly #b: Buffer
  readonly #view: DataView
  #at = 0

  constructor(bytes: number) {
    // The last step of a piece may reach behind what it says.
    this.#b = Buffer.allocUnsafeSlow(bytes + step)
    this.#view = new DataView(this.#b.buffer)
  }

  /** Bytes left. */
  get free(): number {
    return this.#b.length - step - this.#at
  }

  /** What was filled. */
  take(): Buffer {
    return this.#b.subarray(0, this.#at)
  }

  put(piece: Piece): void {
    const view = this.#view
    const { steps } = piece
    let at = this.#at
    for (let i = 0; i < steps.length; i++) {
      view.setFloat64(at, steps[i] as number, true)
      at += step
    }
    this.#at += piece.length
  }

  /** A whole number from 0 on. */
  whole(n: number): void {
    let width = 1
    while (width < 16 && n >= (pow10[width] ?? Number.POSITIVE_INFINITY)) width++
    this.padded(n, width)
  }

  /** A whole number with zeros before it. */
  padded(n: number, width: number): void {
    const b = this.#b
    let rest = n
    let i = this.#at + width - 1
    for (; rest > 0x7fffffff; i--) {
      const next = Math.floor(rest / 10)
      b[i] = ZERO + (rest - next * 10)
      rest = next
    }
    for (let small = rest | 0; i >= this.#at; i--) {
      const next = (small / 10) | 0
      b[i] = ZERO + (small - next * 10)
      small = next
    }
    this.#at += width
  }

  /** `units` of the `places`-th decimal place, without trailing zeros: (1250, 2) is 12.5. */
  decimal(units: number, places: number): void {
    const scale = pow10[places] as number
    const whole = Math.floor(units / scale)
    this.whole(whole)
    let fraction = units - whole * scale
    if (fraction === 0) return
    let width = places
    while (fraction % 10 === 0) {
      fraction /= 10
      width--
    }
    this.#b[this.#at++] = DOT
    this.padded(fraction, width)
  }

  /** Milliseconds since 1970 as 2026-01-01T00:00:00.000Z. */
  instant(ms: number): void {
    const day = Math.floor(ms / msOfDay)
    let rest = ms - day * msOfDay
    this.put(dateOf(day))
    const hours = Math.floor(rest / 3_600_000)
    rest -= hours * 3_600_000
    const minutes = (rest / 60_000) | 0
    rest -= minutes * 60_000
    const seconds = (rest / 1000) | 0
    this.padded(hours, 2)
    this.#b[this.#at++] = COLON
    this.padded(minutes, 2)
    this.#b[this.#at++] = COLON
    this.padded(seconds, 2)
    this.#b[this.#at++] = DOT
    this.padded(rest - seconds * 1000, 3)
    this.#b[this.#at++] = ZULU
  }
}

/** The text of a day with its T. Date makes it; days come again and again. */
const dateOf = (day: number): Piece => {
  const known = days.get(day)
  if (known !== undefined) return known
  if (days.size >= maxDays) days.clear()
  const text = new Piece(new Date(day * msOfDay).toISOString().slice(0, 11))
  days.set(day, text)
  return text
}
const days = new Map<number, Piece>()
const maxDays = 10_000
const msOfDay = 86_400_000
