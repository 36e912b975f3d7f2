/** Places in the log of PostgreSQL: https://www.postgresql.org/docs/current/datatype-pg-lsn.html */

/** `16/B374D848` as a number; undefined where the text is none. */
export const parseLsn = (text: string): bigint | undefined => {
  const m = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(text)
  return m === null ? undefined : (BigInt(`0x${m[1]}`) << 32n) | BigInt(`0x${m[2]}`)
}

/** A place as the server writes it. */
export const formatLsn = (lsn: bigint): string =>
  `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xff_ff_ff_ffn).toString(16).toUpperCase()}`
