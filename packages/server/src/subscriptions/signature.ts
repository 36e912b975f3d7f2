/**
 * How a subscriber knows that a push is ours and new: https://www.standardwebhooks.com, whose libraries exist for most languages. The id is the same
 * when the same records come again.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'

const prefix = 'whsec_'

/** A secret out of 32 bytes of chance. */
export const newSecret = (bytes: Uint8Array): string => prefix + Buffer.from(bytes).toString('base64')

const sign = (
  secret: string,
  content: { readonly id: string; readonly seconds: number; readonly body: Uint8Array },
): string =>
  createHmac('sha256', Buffer.from(secret.slice(prefix.length), 'base64'))
    .update(`${content.id}.${content.seconds}.`)
    .update(content.body)
    .digest('base64')

/** Headers that sign a body, once by each secret, so that one can be exchanged without a gap. */
export const signed = (
  secrets: readonly string[],
  content: { readonly id: string; readonly at: Date; readonly body: Uint8Array },
): Readonly<Record<string, string>> => {
  const seconds = Math.floor(content.at.getTime() / 1000)
  return {
    'webhook-id': content.id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': secrets.map((s) => `v1,${sign(s, { ...content, seconds })}`).join(' '),
  }
}

/** Whether the headers are of the body and of this secret. For subscribers, and for tests. */
export const isSignedBy = (
  secret: string,
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
  body: Uint8Array,
): boolean => {
  const expected = Buffer.from(
    `v1,${sign(secret, { id: String(headers['webhook-id']), seconds: Number(headers['webhook-timestamp']), body })}`,
  )
  return String(headers['webhook-signature'])
    .split(' ')
    .map((s) => Buffer.from(s))
    .some((given) => given.length === expected.length && timingSafeEqual(given, expected))
}
