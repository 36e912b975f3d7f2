import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { envelopeOf, messageOf, type Origin } from './message.ts'

const body = Buffer.from('{}')
const at = Date.UTC(2026, 1, 3, 4, 5, 6, 789)
/** What arrives of what is published. */
const arrived = (envelope: ReturnType<typeof envelopeOf>) =>
  messageOf({
    place: 7,
    body,
    headers: (envelope.headers ?? {}) as Record<string, unknown>,
    id: envelope.messageId,
    timestamp: envelope.timestamp as number,
  })

describe('a message', () => {
  const origins: readonly Origin[] = [
    { writer: 'w', seq: 0n, part: 0, parts: 1 },
    { writer: '-a:b/c\nd', seq: 2n ** 63n, part: 999_999, parts: 1_000_000 },
    { writer: 'é'.repeat(100), seq: 5n, part: 1, parts: 2 },
    // More than a short string holds.
    { writer: '漢'.repeat(200), seq: 5n, part: 1, parts: 2 },
  ]
  it('says whose it is, which part and when, whatever the name of the writer', () => {
    for (const origin of origins)
      for (const key of [undefined, 'k']) {
        const envelope = envelopeOf({ body, key }, origin, at)
        assert.ok(Buffer.byteLength(envelope.messageId ?? '') <= 255)
        assert.deepEqual(arrived(envelope), {
          place: 7,
          at,
          origin,
          record: { body, key, contentType: undefined },
        })
      }
  })

  it('is of others where its id and headers are not as ours', () => {
    const ids = [undefined, '', 'x', 'millrace:', 'millrace:1/2:3:4:', 'millrace:a/2:3:4:w', 'millrace:1/2:-3:4:w']
    for (const id of ids) {
      const read = messageOf({
        place: 1,
        body,
        headers: { 'millrace-writer': 'w', 'millrace-seq': 3 },
        id,
        timestamp: 9,
      })
      assert.deepEqual([read.origin, read.at], [undefined, 9_000], `id ${id}`)
    }
  })
})
