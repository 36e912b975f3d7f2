/** Engines of tests on a broker that others use too: names that nothing else has, and nothing is left behind. */
import { randomBytes } from 'node:crypto'
import { Connection } from 'rabbitmq-client'
import { RabbitEngine, type RabbitEngineOptions } from '../index.ts'

export class TestEngines implements AsyncDisposable {
  readonly url: string
  readonly #prefixes: string[] = []
  #client: Connection | undefined

  constructor(url: string) {
    this.url = url
  }

  prefix(): string {
    const made = `millrace-test-${randomBytes(4).toString('hex')}`
    this.#prefixes.push(made)
    return made
  }

  async open(options: Partial<RabbitEngineOptions> & { readonly prefix: string }): Promise<RabbitEngine> {
    return await RabbitEngine.open({ url: this.url, now: () => new Date(), ...options })
  }

  /** A bare client: what any other program is. */
  get client(): Connection {
    if (this.#client === undefined) {
      // Where a broker takes long to start, the client's own pauses grow longer than it waits for a channel.
      this.#client = new Connection({ url: this.url, retryLow: 50, retryHigh: 500, acquireTimeout: 60_000 })
      this.#client.on('error', () => {})
    }
    return this.#client
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const prefix of this.#prefixes) {
      await using engine = await this.open({ prefix })
      for (const name of await Array.fromAsync(engine.list())) await engine.drop(name)
      await this.client.queueDelete({ queue: `${prefix}.streams` })
    }
    await this.#client?.close()
  }
}
