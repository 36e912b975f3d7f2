import { after, describe } from 'node:test'
import { findBroker } from '@millrace/sdk/testing'
import { streamLogSuite } from '../../testing/index.ts'
import type { RabbitEngine } from './index.ts'
import { TestEngines } from './testing/brokers.ts'

const broker = await findBroker()

describe('on RabbitMQ', { skip: broker.skip }, () => {
  if (broker.skip !== false) return
  const engines = new TestEngines(broker.url)
  after(async () => {
    await engines[Symbol.asyncDispose]()
    await broker[Symbol.asyncDispose]()
  })
  const prefixes = new WeakMap<object, string>()
  const open = async (prefix: string, now: () => Date): Promise<RabbitEngine> => {
    const engine = await engines.open({ now, prefix })
    prefixes.set(engine, prefix)
    return engine
  }
  streamLogSuite({
    name: 'rabbitmq',
    make: async (now) => await open(engines.prefix(), now),
    reopen: async (old, now) => await open(prefixes.get(old) as string, now),
  })
})
