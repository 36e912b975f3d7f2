/**
 * A double as DuckDB's cast to text spells it: its shortest digits, with a point or, from 1e16 on and below 1e-4, an
 * exponent of two digits at least. What is no number in JSON is text, so that the record can be set aside for it.
 */
export const spellDouble = (x: number): string => {
  if (!Number.isFinite(x)) return `"${x}"`
  const [mantissa = '', exponent = ''] = Math.abs(x).toExponential().split('e')
  const digits = mantissa.replace('.', '')
  const e = Number(exponent)
  const sign = x < 0 || Object.is(x, -0) ? '-' : ''
  if (e >= 16 || e < -4) return `${sign}${mantissa}e${e < 0 ? '-' : '+'}${String(Math.abs(e)).padStart(2, '0')}`
  if (e < 0) return `${sign}0.${'0'.repeat(-e - 1)}${digits}`
  return `${sign}${digits.slice(0, e + 1).padEnd(e + 1, '0')}.${digits.slice(e + 1) || '0'}`
}
