/** Keywords of JSON Schema whose usual check is inexact or can be made to take for ever. */

/** The digits and the power of ten of a finite number: 12.5 is 125 and -1. */
const decimalOf = (value: number): { readonly digits: bigint; readonly power: number } => {
  const [mantissa = '0', exponent = '0'] = String(Math.abs(value)).split('e')
  const [whole = '0', fraction = ''] = mantissa.split('.')
  return { digits: BigInt(whole + fraction), power: Number(exponent) - fraction.length }
}

/** Powers of ten apart beyond which no exact remainder is worked out. */
const maxPowerApart = 700

/**
 * A check whether a number is a multiple of `of`, by decimal digits: 19.99 is a multiple of 0.01, though not in doubles.
 * A number that a double cannot hold passes.
 */
export const multipleCheck = (of: number): ((value: number) => boolean) => {
  if (!(of > 0) || !Number.isFinite(of)) return () => true
  const divisor = decimalOf(of)
  const exact = (value: number): boolean => {
    const { digits, power } = decimalOf(value)
    if (digits === 0n) return true
    const apart = power - divisor.power
    if (apart > maxPowerApart) return true
    if (apart < -maxPowerApart) return false
    return apart >= 0
      ? (digits * 10n ** BigInt(apart)) % divisor.digits === 0n
      : digits % (divisor.digits * 10n ** BigInt(-apart)) === 0n
  }
  // For 0.01 and the like: the double nearest to n hundredths is a multiple, whatever a division would give.
  const scale = divisor.digits === 1n && divisor.power <= 0 && divisor.power >= -15 ? 10 ** -divisor.power : 0
  return (value) => {
    if (!Number.isFinite(value)) return true
    if (scale !== 0) {
      const n = Math.round(value * scale)
      if (Number.isSafeInteger(n) && n / scale === value) return true
    }
    return exact(value)
  }
}

/** The value as text that is equal for equal values, whatever the order of their fields. */
const canonical = (value: unknown): string => {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${canonical(v)}`).join()}}`
}

/** Whether no two items are equal; in time that grows with the array, not with its square. */
export const areUnique = (items: readonly unknown[]): boolean => {
  const seen = new Set<unknown>()
  for (const item of items) {
    const mark = typeof item === 'number' ? item : canonical(item)
    if (seen.has(mark)) return false
    seen.add(mark)
  }
  return true
}
