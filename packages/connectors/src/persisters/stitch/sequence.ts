/** Digits behind the point at which a sequence is cut in two, so that most are made without BigInt. */
export const lowDigits = 6
const lowSpan = 10 ** lowDigits

/**
 * Numbers that rise from record to record, also from run to run: nanoseconds since 1970, 19 digits, as the Stitch target has
 * them since 3.0.3. Of two records with one key Stitch keeps the one with the higher number. Where records come faster than the
 * clock, the numbers run ahead of it.
 */
export class Sequence {
  readonly #now: () => number
  #high = 0n
  #highText = ''
  #low = lowSpan

  /** `now`: milliseconds since 1970. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Begins anew at the clock, unless the numbers are ahead of it. Called once for a batch. */
  catchUp(): void {
    // Milliseconds are the high part: a nanosecond has six more digits.
    const high = BigInt(Math.floor(this.#now()))
    if (high > this.#high) this.#begin(high)
  }

  /** The next number, as text. */
  next(): string {
    const low = this.nextLow()
    return this.#highText + String(low).padStart(lowDigits, '0')
  }

  /** The low part of the next number: its last digits. Those before them are {@link highText} after the call. */
  nextLow(): number {
    if (this.#low >= lowSpan) this.#begin(this.#high + 1n)
    return this.#low++
  }

  /** The digits before the last ones of the number that was made last. */
  get highText(): string {
    return this.#highText
  }

  #begin(high: bigint): void {
    this.#high = high
    this.#highText = String(high)
    this.#low = 0
  }
}
