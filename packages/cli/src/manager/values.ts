import { MillraceError } from '@millrace/sdk'

const unitMs: Readonly<Record<string, number>> = { s: 1000, min: 60_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** A time such as 90d, 12h, 30min, 45s in milliseconds. Throws COMMAND_USAGE. */
export const durationMs = (option: string, text: string): number => {
  const [, digits, unit = ''] = /^(\d+)\s*(s|min|m|h|d)$/.exec(text.trim()) ?? []
  const ms = Number(digits) * (unitMs[unit] ?? Number.NaN)
  if (!Number.isSafeInteger(ms) || ms < 1)
    throw new MillraceError('COMMAND_USAGE', {
      why: `--${option} must be a time such as 90d, 12h or 30min, not "${text}"`,
    })
  return ms
}

/** One of two words that say who: client:ID, user:ID. Undefined for anything else. */
export const actorOf = (text: string): { readonly type: 'client' | 'user'; readonly id: string } | undefined => {
  const [, type, id] = /^(client|user):(.+)$/.exec(text) ?? []
  return id === undefined ? undefined : { type: type as 'client' | 'user', id }
}
