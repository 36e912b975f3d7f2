/** Writes records to stdout and says when they have left: only then may they be marked or acknowledged. */

/** A record as it came over the wire. */
export interface PrintedRecord {
  readonly offset: bigint
  /** Its line. */
  readonly line: Uint8Array | string
}

export interface RecordPrinter {
  /** Aborted when nobody reads any more. */
  readonly closed: AbortSignal
  /** Resolves when the lines have left. */
  print(records: readonly PrintedRecord[]): Promise<void>
}

export const recordPrinter = (): RecordPrinter => {
  const closed = new AbortController()
  // `millrace consume orders | head -1`: what was not taken is not marked.
  process.stdout.on('error', () => closed.abort())
  process.stdout.on('close', () => closed.abort())
  return {
    closed: closed.signal,
    print: async (records) => {
      const bytes = Buffer.concat(
        records.flatMap(({ line }) => [typeof line === 'string' ? Buffer.from(line) : line, Buffer.from('\n')]),
      )
      await new Promise<void>((resolve, reject) => {
        const gone = (): void => reject(closed.signal.reason)
        if (closed.signal.aborted) return gone()
        closed.signal.addEventListener('abort', gone, { once: true })
        process.stdout.write(bytes, (e) => {
          closed.signal.removeEventListener('abort', gone)
          if (e === null || e === undefined) resolve()
          else reject(e)
        })
      })
    },
  }
}
