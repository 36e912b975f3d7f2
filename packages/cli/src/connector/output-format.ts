/** What a streamer may write. */
export const outputFormats: readonly string[] = ['singer']

export const converted = <W>(_format: string | undefined, write: W): W => write
