import { MillraceError } from '@millrace/sdk'

/** The options of one call, asked for by their long names. */
export class OptionValues {
  readonly #values: Readonly<Record<string, unknown>>

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values
  }

  /** The value of an option, or undefined where it was not given. */
  text(name: string): string | undefined {
    const value = this.#values[keyOf(name)]
    return value === undefined || typeof value === 'boolean'
      ? undefined
      : Array.isArray(value)
        ? String(value.at(-1))
        : String(value)
  }

  /** Whether a switch is on. `--no-x` is asked for as `x` and is on where it was not given. */
  flag(name: string): boolean {
    return this.#values[keyOf(name)] === true
  }

  /** Every value of an option that may be repeated. */
  all(name: string): readonly string[] {
    const value = this.#values[keyOf(name)]
    return value === undefined ? [] : Array.isArray(value) ? value.map(String) : [String(value)]
  }

  /** A whole number of at least `min`; `otherwise` is taken where the option is not given. Throws COMMAND_USAGE. */
  whole(name: string, min: number = 0, otherwise?: string): number | undefined {
    const text = this.text(name) ?? otherwise
    if (text === undefined) return undefined
    const n = Number(text)
    if (text.trim() === '' || !Number.isSafeInteger(n) || n < min)
      throw new MillraceError('COMMAND_USAGE', {
        why: `--${name} must be a whole number of at least ${min}, not "${text}"`,
      })
    return n
  }

  /** A size in bytes, with or without a unit. Throws COMMAND_USAGE. */
  bytes(name: string): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const match = /^(\d+)\s*(|b|kb|mb|gb|kib|mib|gib)$/i.exec(text.trim())
    const units: Readonly<Record<string, number>> = {
      '': 1,
      b: 1,
      kb: 1e3,
      mb: 1e6,
      gb: 1e9,
      kib: 1024,
      mib: 1024 ** 2,
      gib: 1024 ** 3,
    }
    const bytes = match === null ? Number.NaN : Number(match[1]) * (units[(match[2] ?? '').toLowerCase()] ?? Number.NaN)
    if (!Number.isSafeInteger(bytes) || bytes < 1)
      throw new MillraceError('COMMAND_USAGE', {
        why: `--${name} must be a size such as 1048576 or 64MiB, not "${text}"`,
      })
    return bytes
  }

  /** The raw value, for options whose names are known only at run time. */
  get(name: string): unknown {
    return this.#values[keyOf(name)]
  }
}

const keyOf = (name: string): string => name.replace(/-([a-z0-9])/g, (_, c: string) => c.toUpperCase())
