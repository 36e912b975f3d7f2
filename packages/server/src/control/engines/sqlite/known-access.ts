import type { Actor } from '../../../domain/access.ts'
import type { StreamsPlane } from '../../control-plane.ts'
import type { StreamAccess } from '../../types.ts'

const maxKnown = 1_000

/**
 * Who may do what with which stream, as the file says now. What was looked up holds until anybody changes the file, which is cheap to
 * ask (the version of the data); it is asked once in a turn of the event loop. So a right that was revoked stops with the next
 * request, whichever process revoked it.
 */
export class KnownAccess {
  readonly #version: () => bigint
  readonly #streams: Pick<StreamsPlane, 'access'>
  readonly #known = new Map<string, StreamAccess | undefined>()
  #at: bigint | undefined
  #isOfThisTurn = false

  constructor(version: () => bigint, streams: Pick<StreamsPlane, 'access'>) {
    this.#version = version
    this.#streams = streams
  }

  async get(idOrName: string, actor: Actor): Promise<StreamAccess | undefined> {
    this.#look()
    const key = `${actor.type} ${actor.id} ${idOrName}`
    const known = this.#known.get(key)
    if (known !== undefined || this.#known.has(key)) return known
    const at = this.#at
    const found = await this.#streams.access(idOrName, actor)
    // Read behind its version, so it is as new. Where another is known by now, it may be older than that.
    if (at !== this.#at) return found
    if (this.#known.size >= maxKnown) this.#known.clear()
    this.#known.set(key, found)
    return found
  }

  /** Something was changed from here: the version is asked again, in the same turn too. */
  forget(): void {
    this.#isOfThisTurn = false
  }

  #look(): void {
    if (this.#isOfThisTurn) return
    const version = this.#version()
    if (version !== this.#at) {
      this.#known.clear()
      this.#at = version
    }
    this.#isOfThisTurn = true
    setImmediate(() => {
      this.#isOfThisTurn = false
    })
  }
}
