/** What the parts of the suite share: a clock that stands, ids that can be told apart, and a stream with its owner. */
import { isMillraceError } from '@millrace/sdk'
import type { Actor } from '../../domain/access.ts'
import { uuidv7 } from '../../domain/ids.ts'
import type { ControlPlane } from '../control-plane.ts'
import type { Act, NewClient, NewStream, NewUser, Page, StreamEntry } from '../types.ts'

export interface ControlPlaneSuiteOptions {
  readonly name: string
  /** An empty control plane. */
  readonly make: () => Promise<ControlPlane>
  /** Another one on the same database, as a second manager has it. */
  readonly another: (first: ControlPlane) => Promise<ControlPlane>
  /** How many histories are tried against a model; left out 60. */
  readonly runs?: number
}

const start = Date.UTC(2026, 10, 28, 12)
/** A moment, by its seconds after the start of all tests. */
export const second = (n: number): Date => new Date(start + n * 1000)

let made = 0
/** An id that no test had before. They rise. */
export const freshId = (): string => {
  made++
  return uuidv7(new Date(start + made), { bytes: (n) => Buffer.alloc(n, made % 251) })
}

export const somebody: Actor = { type: 'user', id: 'somebody' }
export const act = (at = 0, by: Act['by'] = somebody): Act => ({ by, at: second(at) })

export const newUser = (more: Partial<NewUser> = {}): NewUser => {
  const id = freshId()
  return { id, email: `${id}@example.org`, displayName: 'U', isAdministrator: false, ...more }
}
export const newClient = (owner: Actor, more: Partial<NewClient> = {}): NewClient => ({
  id: freshId(),
  displayName: 'C',
  description: '',
  owner,
  secret: { id: freshId(), hash: Buffer.alloc(32, 1) },
  ...more,
})
export const newStream = (owner: Actor, more: Partial<NewStream> = {}): NewStream => {
  const id = freshId()
  return {
    id,
    name: `s-${id}`,
    displayName: 'S',
    description: '',
    contentType: 'application/json',
    settings: {},
    owner,
    ...more,
  }
}

/** A user and a stream that is theirs. */
export const withStream = async (
  plane: ControlPlane,
  more: Partial<NewStream> = {},
): Promise<{ readonly owner: Actor; readonly stream: StreamEntry; readonly streamId: string }> => {
  const user = await plane.users.create(act(), newUser())
  const owner: Actor = { type: 'user', id: user.id }
  const stream = await plane.streams.create(act(0, owner), newStream(owner, more))
  await plane.streams.made(stream.id)
  return { owner, stream, streamId: stream.id }
}

export const code =
  (wanted: string) =>
  (e: unknown): boolean =>
    isMillraceError(e) && e.code === wanted

/** Walks all pages, and says how many there were. */
export const allPages = async <T>(
  page: (after: string | undefined) => Promise<Page<T>>,
): Promise<{ readonly items: readonly T[]; readonly pages: number }> => {
  const items: T[] = []
  let pages = 0
  for (let after: string | undefined, first = true; first || after !== undefined; first = false) {
    const got = await page(after)
    items.push(...got.items)
    pages++
    after = got.next
  }
  return { items, pages }
}
