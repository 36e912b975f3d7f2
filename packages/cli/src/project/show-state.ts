import { parseExact, encodeJson } from '@millrace/sdk'
import type { StateEntry } from '@millrace/server'

/** A state on one line for a table; "the beginning" where there is none. */
export const stateLine = (text: string | undefined): string => {
  if (text === undefined) return 'the beginning'
  try {
    return encodeJson(parseExact(text))
  } catch {
    return text
  }
}

/** A state entry as JSON, its state as a value and its exact text beside. */
export const stateJson = (entry: StateEntry): unknown => ({
  ...entry,
  value: entry.text === undefined ? null : JSON.parse(entry.text),
})
