/** Text out of bytes, by the buffer's own methods: without the checks that `toString` makes each time. */
interface Slices {
  utf8Slice(from: number, to: number): string
  latin1Slice(from: number, to: number): string
}

const methods = Buffer.prototype as unknown as Slices

/** The UTF-8 text of [from, to). */
export const utf8At = (b: Uint8Array, from: number, to: number): string => methods.utf8Slice.call(b, from, to)

/** The text of [from, to), which is known to be ASCII. */
export const asciiAt = (b: Uint8Array, from: number, to: number): string => methods.latin1Slice.call(b, from, to)
