import { PassThrough } from 'node:stream'
import { convert, MillraceError, type WireFormat, wireFormats } from '@millrace/sdk'

/** What a streamer may write, and what messages may be converted to. */
export const outputFormats: readonly string[] = wireFormats

/** The format of a name; Singer where none was given. Throws COMMAND_USAGE. */
export const outputFormat = (name: string | undefined): WireFormat => {
  const found = outputFormats.find((f) => f === (name ?? 'singer'))
  if (found === undefined)
    throw new MillraceError('COMMAND_USAGE', {
      why: `there is no format "${name}"`,
      fix: `Formats are: ${outputFormats.join(', ')}.`,
    })
  return found as WireFormat
}

type Write = (chunk: Uint8Array) => void | Promise<void>

/** A writer whose output is converted on its way to `write`, and the end of it, which is to be waited for. */
export const converted = (
  to: WireFormat,
  write: Write,
): { readonly write: Write; readonly end: () => Promise<void> } => {
  if (to === 'singer') return { write, end: async () => {} }
  const input = new PassThrough()
  let failure: { readonly error: unknown } | undefined
  const done = convert({ input, to, write }).then(
    () => {},
    (error: unknown) => {
      failure = { error }
      // Whoever waits for room in the pipe waits no longer.
      input.destroy()
    },
  )
  return {
    write: async (chunk) => {
      if (failure === undefined && !input.write(chunk))
        await new Promise<void>((resolve) => {
          input.once('drain', resolve)
          input.once('close', resolve)
        })
      if (failure !== undefined) throw failure.error
    },
    end: async () => {
      input.end()
      await done
      if (failure !== undefined) throw failure.error
    },
  }
}
