import type { MessagePort } from 'node:worker_threads'
import { Answers, faultOf } from '../answers.ts'
import { LogStore } from '../store.ts'
import type { Ask } from '../thread.ts'
import { KeyIndex, type Question } from './key-index.ts'
import { isDamage, RunFile } from './run-file.ts'

/** The file of the index that belongs to a log file. */
export const indexPath = (path: string): string => `${path}-keys`

/** Answers questions for keys in a thread of its own. A file of the index that turns out to be damaged is made anew. */
export class FindService {
  readonly #port: MessagePort
  readonly #answers: Answers
  readonly #store: LogStore
  readonly #path: string
  #file: RunFile
  #index: KeyIndex
  #isClosed = false

  /** Throws what SQLite throws. */
  constructor(port: MessagePort, path: string) {
    this.#port = port
    this.#answers = new Answers(port)
    this.#path = indexPath(path)
    this.#store = new LogStore(path, 'read')
    this.#file = RunFile.open(this.#path)
    this.#index = new KeyIndex(this.#file, this.#store)
  }

  start(): void {
    // What is left of dropped streams costs room only.
    this.#index.tidy().catch(() => {})
    this.#port.on('message', (asks: readonly Ask[]) => {
      const finds = asks.filter((ask) => ask.do === 'find')
      const index = this.#index
      index.ask(finds.map((ask) => ask.question)).forEach((answer, i) => {
        const ask = finds[i] as (typeof finds)[number]
        void this.#answer(ask.id, this.#onceMore(index, answer, ask.question))
      })
      for (const ask of asks) if (ask.do === 'call' && ask.method === 'close') this.#close(ask.id)
    })
  }

  async #answer(id: number, answer: Promise<readonly number[]>): Promise<void> {
    try {
      this.#answers.add(id, await answer)
    } catch (e) {
      this.#answers.addFault(id, faultOf(e))
    }
    // Those that are answered in one turn, together.
    setImmediate(() => this.#answers.send())
  }

  async #onceMore(index: KeyIndex, answer: Promise<readonly number[]>, question: Question): Promise<readonly number[]> {
    try {
      return await answer
    } catch (e) {
      if (!isDamage(e)) throw e
      if (index === this.#index) this.#renew()
      return (await this.#index.ask([question])[0]) ?? []
    }
  }

  #renew(): void {
    this.#file.close()
    RunFile.remove(this.#path)
    this.#file = RunFile.open(this.#path)
    this.#index = new KeyIndex(this.#file, this.#store)
  }

  #close(id: number): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#file.close()
    this.#store.close()
    this.#answers.add(id, undefined)
    this.#answers.send()
    this.#port.close()
  }
}
