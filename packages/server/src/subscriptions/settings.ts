import { isObject, type Json, type JsonObject } from '@millrace/sdk'
import type { Subscription } from '../control/types.ts'
import type { SubscriptionSettings } from './types.ts'

/** Settings as the control plane keeps them. */
export const settingsToJson = (s: SubscriptionSettings): JsonObject => ({
  url: s.url,
  secrets: s.secrets,
  maxRecords: s.maxRecords,
  maxTries: s.maxTries,
  timeoutMs: s.timeoutMs,
  ...(s.deadLetters === undefined ? {} : { deadLetters: s.deadLetters }),
  isPaused: s.isPaused,
  createdBy: { type: s.createdBy.type, id: s.createdBy.id },
})

const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '')

/** What {@link settingsToJson} made. */
export const settingsIn = ({ settings: s }: Subscription): SubscriptionSettings => {
  const by = isObject(s['createdBy']) ? s['createdBy'] : {}
  return {
    url: text(s['url']),
    secrets: Array.isArray(s['secrets']) ? s['secrets'].map((one) => text(one as Json)) : [],
    maxRecords: Number(s['maxRecords']),
    maxTries: Number(s['maxTries']),
    timeoutMs: Number(s['timeoutMs']),
    deadLetters: typeof s['deadLetters'] === 'string' ? s['deadLetters'] : undefined,
    isPaused: s['isPaused'] === true,
    createdBy: { type: by['type'] === 'user' ? 'user' : 'client', id: text(by['id']) },
  }
}
