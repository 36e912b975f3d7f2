import { definePersister, flag, MillraceError, type Persister, type PersisterContext, text, whole } from '@millrace/sdk'
import type { Link } from './link.ts'
import { placeFor, problemsOf } from './place.ts'

const config = {
  url: text({
    doc: 'The broker, as amqp:// or amqps:// with user, password and virtual host',
    secret: true,
    example: 'amqp://user:password@localhost:5672/vhost',
  }),
  queue: text({
    doc: 'The queue that records go to; {substream} in it is the name of the substream',
    optional: true,
    example: 'orders',
  }),
  exchange: text({
    doc: 'The exchange that records go to, instead of a queue; {substream} in it is the name of the substream',
    optional: true,
    example: 'shop',
  }),
  stream: text({
    doc: 'A stream of the Stream Management Framework, instead of a queue: the exchange streams.NAME, fanout, not durable',
    optional: true,
    example: 'mystream',
  }),
  routingKey: text({
    doc: 'For an exchange: the routing key; {substream} is the substream, {FIELD} a field of the record',
    default: '{substream}',
    example: '{substream}.{country}',
  }),
  declare: flag({ doc: 'Make the queue (durable) or exchange (durable, topic) where it is not there', default: false }),
  mandatory: flag({ doc: 'Fail where a record reaches no queue, instead of losing it', default: true }),
  persistent: flag({ doc: 'Ask the broker to keep messages on disk in durable queues', default: true }),
  contentType: text({ doc: 'Content type of the messages', default: 'application/json' }),
  keyHeader: flag({
    doc: 'Give each message a header `key`: the values of its key properties as a JSON array',
    default: false,
  }),
  maxUnconfirmed: whole({
    doc: 'Messages under way that the broker has not confirmed',
    default: 5_000,
    min: 1,
    max: 100_000,
  }),
  tries: whole({ doc: 'How often in a row to try again when the connection is lost', default: 5, min: 1, max: 100 }),
  retryMs: whole({
    doc: 'Milliseconds before the first new try; each further pause is twice as long',
    default: 500,
    min: 1,
    max: 60_000,
  }),
  timeoutSeconds: whole({
    doc: 'How long to wait for a connection, and for a confirm',
    default: 60,
    min: 1,
    max: 3_600,
  }),
}
type Context = PersisterContext<typeof config>

const open = async (ctx: Context): Promise<Link> => {
  const problems = problemsOf(ctx.config)
  if (problems.length > 0)
    throw new MillraceError('CONFIG_INVALID', {
      what: 'persister amqp',
      problems,
      fix: 'Give one of queue, exchange and stream, and a url like amqp://user:password@host:5672/vhost.',
    })
  const { Link } = await import('./link.ts')
  const { url, timeoutSeconds } = ctx.config
  return new Link({ url, timeoutMs: timeoutSeconds * 1_000 })
}

/** Records to a queue or an exchange of an AMQP 0-9-1 broker (docs/reference/amqp.md). */
export const amqp: Persister = definePersister({
  name: 'amqp',
  doc: 'Sends each record as a message to a queue or an exchange of RabbitMQ, confirmed by the broker.',
  config,
  reference: { page: 'amqp.md' },
  supports: { upsert: false, exactNumbers: true, versions: false, opensRecords: false },
  open: async (ctx) => {
    const link = await open(ctx)
    const { Publisher } = await import('./publisher.ts')
    const { AmqpSession } = await import('./session.ts')
    const publisher = new Publisher({ ...ctx.config, link, signal: ctx.signal, log: ctx.log })
    await publisher.connect()
    return new AmqpSession({ ...ctx.config, publisher })
  },
  check: async (ctx) => {
    const link = await open(ctx)
    try {
      await link.open()
      const place = placeFor(ctx.config, 'check')
      // What is named for a substream cannot be asked for before one is known.
      if (!ctx.config.declare && place.named === 'fixed') await link.ask(place)
    } finally {
      await link.close()
    }
  },
  plan: async (ctx, schemas) =>
    schemas.map(({ stream }) => {
      const place = placeFor(ctx.config, stream)
      return `${place.what}: a message for each record of ${stream}`
    }),
})
