/** What is pushed, and what becomes of a record that could not be. */
import { encodeJson } from '@millrace/sdk'
import type { StreamService } from '../../streams/stream-service.ts'
import type { EncodeDeadLetter, EncodePush } from '../../subscriptions/types.ts'
import { recordsJson } from '../records/shapes.ts'

export const pushBody =
  (service: StreamService): EncodePush =>
  (stream, batches, { subscription, next }) =>
    Buffer.concat([
      Buffer.from(
        `{"subscription":${encodeJson(subscription)},"stream":{"id":${encodeJson(stream.id)},"name":${encodeJson(stream.name)}},"records":`,
      ),
      recordsJson(batches, stream, { service }),
      Buffer.from(`,"next":${next}}`),
    ])

export const deadLetterBody =
  (service: StreamService): EncodeDeadLetter =>
  (stream, batch, { subscription, tries, why }) => {
    const record = recordsJson([batch], stream, { service })
    return Buffer.concat([
      Buffer.from(
        `{"subscription":${encodeJson(subscription)},"stream":${encodeJson(stream.name)},"why":${encodeJson(why)},"tries":${tries},"record":`,
      ),
      // A list of one: without its brackets.
      record.subarray(1, record.length - 1),
      Buffer.from('}'),
    ])
  }
