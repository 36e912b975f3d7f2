/** The persister `amqp`, against the bare client that sends the same records with confirms. The broker is one on port 5672 of this machine. */
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { builtInPersisters } from '@millrace/connectors'
import { resolveConfig, runPersister, silentLogger } from '@millrace/sdk'
import { Connection } from 'rabbitmq-client'
import type { DataFiles, Run, Scenario, Subject } from '../harness.ts'

const url = 'amqp://guest:guest@127.0.0.1:5672'
const maxUnconfirmed = 5_000

interface Bench {
  readonly connection: Connection
  readonly queue: string
}

const prepare = async (): Promise<Bench> => {
  const connection = new Connection({ url, frameMax: 131_072 })
  const queue = `millrace-bench-${randomBytes(4).toString('hex')}`
  await connection.queueDeclare({ queue, durable: true })
  return { connection, queue }
}

const end = async ({ connection, queue }: Bench): Promise<void> => {
  await connection.queueDelete({ queue })
  await connection.close()
}

const bare = async (data: DataFiles, { connection, queue }: Bench): Promise<number> => {
  const channel = await connection.acquire()
  await channel.confirmSelect()
  const headers = { substream: 'events' }
  const envelope = { routingKey: queue, durable: true, mandatory: true, contentType: 'application/json', headers }
  const room = { wake: (): void => {} }
  let [records, underWay] = [0, 0]
  for await (const line of createInterface({ input: createReadStream(data.wide) })) {
    const message = JSON.parse(line) as { readonly type: string; readonly record: unknown }
    if (message.type !== 'RECORD') continue
    records++
    underWay++
    void channel.basicPublish(envelope, Buffer.from(JSON.stringify(message.record))).then(() => {
      underWay--
      room.wake()
    })
    while (underWay >= maxUnconfirmed)
      await new Promise<void>((resolve) => {
        room.wake = resolve
      })
  }
  while (underWay > 0)
    await new Promise<void>((resolve) => {
      room.wake = resolve
    })
  await channel.close()
  return records
}

const ours = async (data: DataFiles, { queue }: Bench): Promise<number> => {
  const amqp = await builtInPersisters().get('amqp')
  await runPersister(amqp, {
    config: resolveConfig(amqp.config, {
      kind: 'persister',
      name: 'amqp',
      file: { url, queue, maxUnconfirmed },
      strict: true,
    }).config,
    input: createReadStream(data.wide),
    log: silentLogger,
    signal: new AbortController().signal,
    writeState: () => {},
  })
  return data.records
}

const subject = (name: string, run: (data: DataFiles, bench: Bench) => Promise<number>): Subject => {
  const whole: Run = async (data, prepared) => {
    const bench = prepared as Bench
    const records = await run(data, bench)
    await end(bench)
    return records
  }
  return { name, prepare, run: whole }
}

const subjects = [
  subject('bare client, one record a message, confirmed', bare),
  subject('persister amqp, one record a message, confirmed', ours),
] as const

export const amqpPersister: Scenario = {
  name: 'amqp',
  title: 'Records into a queue of RabbitMQ (wide)',
  subjects,
  claims: [
    {
      path: '→ amqp, against the bare client',
      subject: subjects[1].name,
      baseline: subjects[0].name,
      ratio: 0.8,
    },
  ],
}
