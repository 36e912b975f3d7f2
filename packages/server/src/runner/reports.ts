import { isObject, parseExact, type Report } from '@millrace/sdk'

/** A report of one line may carry the dead letters of a whole batch. */
export const maxReportBytes: number = 256 * 1024 * 1024

/** The report in a line; undefined where it is none that we know (newer programs may say more). */
export const parseReport = (line: string): Report | undefined => {
  let value: unknown
  try {
    // Marks of evidence may hold numbers beyond 2^53; plain JSON.parse is the fast way for all else.
    value = line.includes('"evidence"') ? parseExact(line) : JSON.parse(line)
  } catch {
    return undefined
  }
  if (!isObject(value)) return undefined
  switch (value['kind']) {
    case 'progress':
      return isObject(value['substreams']) ? (value as unknown as Report) : undefined
    case 'commit':
      return isObject(value['books']) && Array.isArray(value['deadLetters']) ? (value as unknown as Report) : undefined
    case 'closed':
      return isObject(value['books']) && Array.isArray(value['evidence']) ? (value as unknown as Report) : undefined
    case 'failed':
      return typeof value['message'] === 'string' ? (value as unknown as Report) : undefined
    case 'emitted':
      return isObject(value['substreams']) ? (value as unknown as Report) : undefined
    default:
      return undefined
  }
}

/** A measurement that a Singer program logs: `INFO METRIC: {"type": "counter", …}`. */
export interface Metric {
  readonly type: string
  readonly metric: string
  readonly value: number
  readonly tags: Readonly<Record<string, unknown>>
}

/** The measurement in a line of a log, or undefined. */
export const parseMetric = (line: string): Metric | undefined => {
  const m = /\bMETRIC: (\{.*\})\s*$/.exec(line)
  if (m === null) return undefined
  try {
    const value: unknown = JSON.parse(m[1] ?? '')
    if (!isObject(value) || typeof value['metric'] !== 'string' || typeof value['value'] !== 'number') return undefined
    return {
      type: String(value['type'] ?? ''),
      metric: value['metric'],
      value: value['value'],
      tags: isObject(value['tags']) ? value['tags'] : {},
    }
  } catch {
    return undefined
  }
}

/** How loud a line of a log is: of JSON lines their `level`, of others the word that Singer programs begin with. */
export const levelOf = (line: string): 'debug' | 'info' | 'warn' | 'error' => {
  const level =
    /^\s*\{.*"level"\s*:\s*"(\w+)"/.exec(line)?.[1] ??
    /\b(DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b/.exec(line.slice(0, 200))?.[1]
  const word = level?.toLowerCase() ?? 'info'
  if (word === 'debug' || word === 'trace') return 'debug'
  if (word.startsWith('warn')) return 'warn'
  return word === 'error' || word === 'critical' || word === 'fatal' ? 'error' : 'info'
}
