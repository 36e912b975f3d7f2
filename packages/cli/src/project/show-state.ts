import { parseExact, encodeJson } from '@millrace/sdk'
import type { StateEntry } from '@millrace/server'

/** The longest text of a state in a table; `--json` has all of it. */
const maxLine = 200

/** A state on one line for a table, cut where it is long; "the beginning" where there is none. */
export const stateLine = (text: string | undefined): string => {
  if (text === undefined) return 'the beginning'
  try {
    return short(encodeJson(parseExact(text)))
  } catch {
    return short(text)
  }
}

/** A text of at most {@link maxLine} characters. */
export const short = (text: string): string => (text.length > maxLine ? `${text.slice(0, maxLine - 1)}…` : text)

/** A state entry as JSON, its state as a value and its exact text beside. */
export const stateJson = (entry: StateEntry): unknown => ({
  ...entry,
  value: entry.text === undefined ? null : JSON.parse(entry.text),
})
