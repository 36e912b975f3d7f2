/** AMQP 0-9-1 for whoever speaks to a broker: connectors, and the log of streams. The client library is theirs. */
export * from './address.ts'
export * from './faults.ts'
export * from './gather-writes.ts'
