/** Colour, where it is wanted: NO_COLOR and FORCE_COLOR decide, then whether the stream is a terminal that is not dumb. */

type Environment = Readonly<Record<string, string | undefined>>

const codes = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39], cyan: [36, 39] } as const

export type Style = { readonly [K in keyof typeof codes]: (text: string) => string }

/** https://no-color.org and https://force-color.org: set and not empty. FORCE_COLOR=0 is a no as well. */
export const wantsColor = (stream: { readonly isTTY?: boolean }, env: Environment): boolean => {
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return false
  const forced = env['FORCE_COLOR']
  if (forced !== undefined && forced !== '') return forced !== '0' && forced !== 'false'
  return stream.isTTY === true && env['TERM'] !== 'dumb' && (env['CI'] === undefined || env['CI'] === '')
}

/** Whether a block may be repainted in place: a terminal that a person looks at. */
export const canRepaint = (stream: { readonly isTTY?: boolean }, env: Environment): boolean =>
  stream.isTTY === true && env['TERM'] !== 'dumb' && (env['CI'] === undefined || env['CI'] === '')

export const styleFor = (stream: { readonly isTTY?: boolean }, env: Environment): Style => {
  const on = wantsColor(stream, env)
  return Object.fromEntries(
    Object.entries(codes).map(([name, [open, close]]) => [
      name,
      (text: string) => (on && text !== '' ? `\u001b[${open}m${text}\u001b[${close}m` : text),
    ]),
  ) as unknown as Style
}
