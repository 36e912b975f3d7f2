/** Names that begin so are of logs that we keep beside those of streams. */
export const reservedPrefix = 'millrace.'

/** The log that holds the parts of a batch while it is kept. */
export const batchLogName = (batchId: string): string => `${reservedPrefix}batch.${batchId}`
