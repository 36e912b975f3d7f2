/** All who follow streams at this manager: whoever takes a right away here has them looked at before that is answered. */
import type { Actor } from '../../domain/access.ts'

export interface Following {
  readonly actor: Actor
  /** Looks at token and right again, and ends the follower where either is gone. Never throws. */
  readonly look: () => Promise<void>
}

export class Followers {
  readonly #all = new Set<Following>()

  /** Answers how to leave. */
  join(following: Following): () => void {
    this.#all.add(following)
    return () => void this.#all.delete(following)
  }

  /** Resolves when those of an actor, or all, were looked at: to none without a right is anything sent after that. */
  async look(actor?: Actor): Promise<void> {
    const meant = [...this.#all].filter(
      (one) => actor === undefined || (one.actor.type === actor.type && one.actor.id === actor.id),
    )
    await Promise.all(meant.map((one) => one.look()))
  }
}
