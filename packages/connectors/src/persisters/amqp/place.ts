/** Where the messages of a substream go. */
import { brokerUrlProblem } from '@millrace/sdk/amqp'

export interface PlaceSettings {
  readonly url: string
  readonly queue?: string | undefined
  readonly exchange?: string | undefined
  readonly stream?: string | undefined
  readonly routingKey: string
  readonly declare: boolean
  readonly exchangeType: ExchangeType
  readonly queueType: QueueType | undefined
  readonly durable: boolean
}

export const exchangeTypes = ['topic', 'direct', 'fanout', 'headers'] as const
export type ExchangeType = (typeof exchangeTypes)[number]
export const queueTypes = ['classic', 'quorum', 'stream'] as const
export type QueueType = (typeof queueTypes)[number]

/** What is made where it is not there. */
export type Making =
  | { readonly is: 'queue'; readonly durable: boolean; readonly type: QueueType | undefined }
  | { readonly is: 'exchange'; readonly durable: boolean; readonly type: ExchangeType }

export interface Place {
  readonly exchange: string
  /** A template for an exchange; the name of the queue for a queue; empty for a stream. */
  readonly routingKey: string
  /** The queue, where it is one; else the exchange is asked for. */
  readonly queue: string | undefined
  /** Undefined: it has to be there. */
  readonly make: Making | undefined
  /** As an error names it. */
  readonly what: string
  readonly named: 'fixed' | 'by substream'
}

/** A name of AMQP is at most this long, in bytes. */
export const maxNameBytes = 255

/** What is wrong with the settings, without showing the url. */
export const problemsOf = (s: PlaceSettings): readonly string[] => {
  const problems: string[] = []
  const given = [s.queue, s.exchange, s.stream].filter((name) => name !== undefined)
  if (given.length !== 1) problems.push('exactly one of queue, exchange and stream has to be given')
  const problem = brokerUrlProblem(s.url)
  if (problem !== undefined) problems.push(problem)
  if (s.declare && !s.durable && s.queueType !== undefined && s.queueType !== 'classic')
    problems.push(`a queue of type ${s.queueType} is always durable`)
  return problems
}

export const placeFor = (s: PlaceSettings, substream: string): Place => {
  const fill = (name: string): string => name.replaceAll('{substream}', substream)
  const named = [s.queue, s.exchange, s.stream].some((n) => n?.includes('{substream}') === true)
    ? 'by substream'
    : 'fixed'
  if (s.queue !== undefined) {
    const queue = fill(s.queue)
    return {
      exchange: '',
      routingKey: queue,
      queue,
      make: s.declare ? { is: 'queue', durable: s.durable, type: s.queueType } : undefined,
      what: `queue ${queue}`,
      named,
    }
  }
  if (s.stream !== undefined) {
    // Everybody who uses a stream declares its exchange, exactly so: a durable one makes the others fail.
    const exchange = `streams.${fill(s.stream)}`
    const make = { is: 'exchange', durable: false, type: 'fanout' } as const
    return { exchange, routingKey: '', queue: undefined, make, what: `exchange ${exchange}`, named }
  }
  const exchange = fill(s.exchange ?? '')
  const make = s.declare ? ({ is: 'exchange', durable: s.durable, type: s.exchangeType } as const) : undefined
  return { exchange, routingKey: s.routingKey, queue: undefined, make, what: `exchange ${exchange}`, named }
}
