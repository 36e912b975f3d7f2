import type { Retention } from './types.ts'

/** Whether anything is ever beyond it. */
export const isLimited = ({ maxAgeMs, maxBytes, maxRecords }: Retention): boolean =>
  maxAgeMs !== undefined || maxBytes !== undefined || maxRecords !== undefined
