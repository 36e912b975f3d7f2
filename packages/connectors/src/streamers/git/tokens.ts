import { isUtf8 } from 'node:buffer'

/** Cuts a byte stream at its NUL bytes. A token lives until the next push. */
export class TokenCutter {
  #rest: Buffer[] = []

  push(chunk: Buffer, take: (b: Buffer, from: number, to: number) => void): void {
    let at = 0
    if (this.#rest.length > 0) {
      const end = chunk.indexOf(0)
      if (end < 0) {
        this.#rest.push(chunk)
        return
      }
      this.#rest.push(chunk.subarray(0, end))
      const whole = Buffer.concat(this.#rest)
      this.#rest = []
      take(whole, 0, whole.length)
      at = end + 1
    }
    for (;;) {
      const end = chunk.indexOf(0, at)
      if (end < 0) break
      take(chunk, at, end)
      at = end + 1
    }
    if (at < chunk.length) this.#rest.push(chunk.subarray(at))
  }
}

/** Text in UTF-8; text that is not is taken as ISO 8859-1, which loses no byte. */
export const textOf = (b: Buffer, from: number, to: number): string => {
  const text = b.toString('utf8', from, to)
  return text.includes('\uFFFD') && !isUtf8(b.subarray(from, to)) ? b.toString('latin1', from, to) : text
}

/** A path in UTF-8; one that is not is quoted as git quotes it ("caf\351"), so that paths stay apart. */
export const pathOf = (b: Buffer, from: number, to: number): string => {
  const text = b.toString('utf8', from, to)
  if (!text.includes('\uFFFD') || isUtf8(b.subarray(from, to))) return text
  let quoted = ''
  for (const byte of b.subarray(from, to)) {
    if (byte === 0x22 || byte === 0x5c) quoted += `\\${String.fromCharCode(byte)}`
    else if (byte < 0x20 || byte >= 0x7f) quoted += `\\${byte.toString(8).padStart(3, '0')}`
    else quoted += String.fromCharCode(byte)
  }
  return `"${quoted}"`
}

/** git's raw date (`1700000000 +0200`) as an instant in UTC and the zone as it stands there. */
export const dateOf = (raw: string): { readonly at: string | null; readonly zone: string | null } => {
  const m = /^(-?\d+)(?: ([-+]\d+))?$/.exec(raw.trim())
  const seconds = m === null ? Number.NaN : Number(m[1])
  const zone = m?.[2] ?? null
  // Beyond the year 9999 (and before 0) there is no RFC 3339 date.
  if (!(seconds >= -62167219200 && seconds <= 253402300799)) return { at: null, zone }
  return { at: `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`, zone }
}
