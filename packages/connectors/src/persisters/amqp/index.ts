import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import {
  choice,
  definePersister,
  flag,
  MillraceError,
  type Persister,
  type PersisterContext,
  text,
  whole,
} from '@millrace/sdk'
import type { Link } from './link.ts'
import { exchangeTypes, placeFor, problemsOf, queueTypes } from './place.ts'

const config = {
  url: text({
    doc: 'The broker, as amqp:// or amqps:// with user, password and virtual host',
    secret: true,
    env: ['AMQP_URL'],
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
  declare: flag({ doc: 'Make the queue or exchange where it is not there; else it has to be there', default: false }),
  exchangeType: choice(exchangeTypes, { doc: 'With declare: the type of the exchange', default: 'topic' }),
  queueType: choice(queueTypes, {
    doc: 'With declare: the type of the queue (else what the virtual host has as its default)',
    optional: true,
  }),
  durable: flag({ doc: 'With declare: the queue or exchange outlives the broker', default: true }),
  mandatory: flag({ doc: 'Fail where a record reaches no queue, instead of losing it', default: true }),
  persistent: flag({ doc: 'Ask the broker to keep messages on disk in durable queues', default: true }),
  contentType: text({ doc: 'Content type of the messages', default: 'application/json' }),
  keyHeader: flag({
    doc: 'Give each message a header `key`: the values of its key properties as a JSON array',
    default: false,
  }),
  caFile: text({
    doc: 'For amqps: a file with the certificates (PEM) of those who may vouch for the broker, instead of those that are known here',
    optional: true,
    example: 'ca.pem',
  }),
  maxUnconfirmed: whole({
    doc: 'Messages under way that the broker has not confirmed; at most 16 MiB of them',
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
  const problems = [...problemsOf(ctx.config)]
  const { url, timeoutSeconds, caFile } = ctx.config
  const ca = caFile === undefined ? undefined : await certificatesIn(caFile)
  if (typeof ca === 'string') problems.push(ca)
  if (problems.length > 0 || typeof ca === 'string')
    throw new MillraceError('CONFIG_INVALID', {
      what: 'persister amqp',
      problems,
      fix: 'Give one of queue, exchange and stream, and a url like amqp://user:password@host:5672/vhost.',
    })
  const { Link } = await import('./link.ts')
  return new Link({ url, timeoutMs: timeoutSeconds * 1_000, ca })
}

/** The bytes of a file of certificates, or what is wrong with it. */
const certificatesIn = async (file: string): Promise<Buffer | string> => {
  try {
    const bytes = await readFile(file)
    new X509Certificate(bytes)
    return bytes
  } catch (error) {
    const why = isMissing(error) ? 'cannot be read' : 'holds no certificate in PEM'
    return `caFile ${file} ${why}`
  }
}

const isMissing = (error: unknown): boolean => (error as { readonly syscall?: unknown }).syscall !== undefined

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
