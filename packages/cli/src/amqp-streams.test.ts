/** A manager whose records are in RabbitMQ, beside programs that speak AMQP and know nothing of it. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startBroker } from '@millrace/sdk/testing'
import { Connection } from 'rabbitmq-client'
import { type Up, up } from './fixtures/manager.ts'
import { eventually, millrace, temporaryFolder } from './fixtures/program.ts'

// Its own: the names of exchanges are the names of streams, and the broker is stopped.
const broker = await startBroker()

describe('streams in RabbitMQ', { skip: broker.skip }, () => {
  const folder = temporaryFolder()
  let manager: Up
  let program: Connection
  const good = async (args: readonly string[], input?: string): Promise<string> => {
    const { code, stdout, stderr } = await millrace(args, {
      cwd: folder.path,
      ...(input === undefined ? {} : { input }),
    })
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
    return stdout
  }

  before(async () => {
    manager = await up(folder.path, ['--log-url', broker.url])
    program = new Connection({ url: broker.url, retryLow: 50, retryHigh: 500 })
    program.on('error', () => {}) // the broker is stopped below
  })
  after(async () => {
    await manager.stop('SIGKILL')
    program.unsafeDestroy()
    await broker[Symbol.asyncDispose]()
    folder[Symbol.dispose]()
  })

  it('keeps records like any other log, also over a restart of the broker', async () => {
    await good(['streams', 'create', 'plain'])
    await good(['publish', 'plain', '--quiet'], '{"n":1.50}\n{"n":12345678901234567890}\n')
    await broker.stop()
    await broker.start()
    await good(['publish', 'plain', '{"n":3}'])
    assert.equal(await good(['consume', 'plain']), '{"n":1.50}\n{"n":12345678901234567890}\n{"n":3}\n')
  })

  it('a stream made with --amqp has what any program publishes, and any program receives what is published to it', async () => {
    await good(['streams', 'create', 'shared', '--amqp'])
    const exchange = 'streams.shared'
    const received: string[] = []
    // As the Stream Management Framework declares them: not durable, consumed without acknowledgement.
    const consumer = program.createConsumer(
      {
        queue: 'streams.shared.0123456789abcdef0123456789abcdef',
        noAck: true,
        queueOptions: { autoDelete: true, durable: false },
        exchanges: [{ exchange, type: 'fanout', durable: false }],
        queueBindings: [{ exchange }],
      },
      (message) => void received.push(String(message.body)),
    )
    consumer.on('error', (e) => assert.fail(e))
    await new Promise((ready) => consumer.once('ready', ready))
    const publisher = program.createPublisher({ confirm: true })
    await publisher.send({ exchange, routingKey: '' }, Buffer.from('{"from": "a program"}'))
    await good(['publish', 'shared', '{"from": "us"}'])
    await eventually(() => received.length === 2, 'both are received')
    assert.deepEqual(received, ['{"from": "a program"}', '{"from": "us"}'])
    assert.equal(await good(['consume', 'shared']), '{"from": "a program"}\n{"from": "us"}\n')
    await publisher.close()
    await consumer.close()
  })
})
