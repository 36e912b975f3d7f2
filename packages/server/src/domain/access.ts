/**
 * Who may do what with a stream. An *actor* is somebody that the control plane knows: a client (a program with a secret)
 * or a user (a human). A *principal* is an actor that proved who it is, with the scopes of its token. *Rights* are what
 * the owner of a stream granted. Scopes narrow what a token may be used for; they never give what the rights do not.
 */

/** Somebody that can be granted something. */
export interface Actor {
  readonly type: 'client' | 'user'
  readonly id: string
}

/** Who did something, for the audit log: an actor, or the manager itself (first start, clean-up). */
export interface Doer {
  readonly type: Actor['type'] | 'manager'
  readonly id: string
}

/** The manager itself as the one who did something. */
export const manager: Doer = { type: 'manager', id: 'manager' }

/** What a token may be used for. */
export const scopes = ['streams:manage', 'schemas:manage', 'records:read', 'records:write', 'admin'] as const
export type Scope = (typeof scopes)[number]

/** What clients of StreamDuo ask for: theirs is one scope for streams, and one for records with all that belongs to them. */
const streamDuoScopes: Readonly<Record<string, readonly Scope[]>> = {
  'https://api.streamduo.com/manage:streams': ['streams:manage'],
  'https://api.streamduo.com/read:records': ['records:read', 'records:write', 'schemas:manage'],
}

/** The scopes that a word in a request for a token asks for; undefined where it is no such word. */
export const scopesNamed = (word: string): readonly Scope[] | undefined =>
  isScope(word) ? [word] : Object.hasOwn(streamDuoScopes, word) ? streamDuoScopes[word] : undefined

/** Whether a text is a scope. */
export const isScope = (text: string): text is Scope => (scopes as readonly string[]).includes(text)

/** An actor that proved who it is. */
export interface Principal extends Actor {
  readonly scopes: readonly Scope[]
  /** A user who administers this manager; counts only together with the scope `admin`. */
  readonly isAdministrator: boolean
}

/** What was granted on one stream. An owner may do all; a producer appends; a consumer reads and marks. */
export interface Rights {
  readonly isOwner: boolean
  readonly isProducer: boolean
  readonly isConsumer: boolean
}

export const noRights: Rights = { isOwner: false, isProducer: false, isConsumer: false }
export const ownerRights: Rights = { isOwner: true, isProducer: true, isConsumer: true }

/**
 * What can be done with a stream. `show`: its name, settings and size; `describe`: its schemas and public keys, which both
 * producers and consumers need; `arrange`: change those; `manage`: change, trim, delete, grant, who has read what, its audit lines.
 */
export type StreamAction = 'show' | 'describe' | 'write' | 'read' | 'arrange' | 'manage'

/**
 * The answer to "may it?". `hidden`: whoever asks may not know that the stream is there, and gets the same answer as for one
 * that is not. `forbidden`: it knows the stream, and lacks a right or a scope.
 */
export type Verdict =
  | { readonly is: 'allowed' }
  | { readonly is: 'hidden' }
  | { readonly is: 'forbidden'; readonly needs: string }

const allowed: Verdict = { is: 'allowed' }

/** Any of these scopes is enough for the action. */
const scopesOf: Readonly<Record<StreamAction, readonly Scope[]>> = {
  show: scopes,
  describe: scopes,
  write: ['records:write'],
  read: ['records:read'],
  arrange: ['streams:manage', 'schemas:manage', 'admin'],
  manage: ['streams:manage', 'admin'],
}

/** Whether the principal administers the manager with this token. */
export const isAdministering = (p: Principal): boolean => p.isAdministrator && p.scopes.includes('admin')

/**
 * Whether a principal may do something with a stream on which it has these rights (undefined: none were ever granted). An
 * administrator sees and manages every stream, but reads and writes records of those only that it was granted: a grant to
 * oneself stands in the audit log, a glance would not.
 */
export const decide = (p: Principal, action: StreamAction, rights: Rights | undefined): Verdict => {
  const administers = isAdministering(p)
  if (rights === undefined && !administers) return { is: 'hidden' }
  if (!scopesOf[action].some((scope) => p.scopes.includes(scope)))
    return { is: 'forbidden', needs: `the scope ${scopesOf[action].join(' or ')}` }
  const { isOwner, isProducer, isConsumer } = rights ?? noRights
  switch (action) {
    case 'show':
    case 'describe':
      return allowed
    case 'write':
      return isOwner || isProducer ? allowed : { is: 'forbidden', needs: 'the right of a producer' }
    case 'read':
      return isOwner || isConsumer ? allowed : { is: 'forbidden', needs: 'the right of a consumer' }
    case 'arrange':
    case 'manage':
      return isOwner || administers ? allowed : { is: 'forbidden', needs: 'the right of an owner' }
    default:
      return action satisfies never
  }
}

declare const brand: unique symbol
/** Whose read status: an actor's own, or the one that all consumers of a stream share. */
export type Reader = string & { readonly [brand]: 'Reader' }

/** The read status of an actor. */
export const readerOf = ({ type, id }: Actor): Reader => `${type}:${id}` as Reader

/** One read status for a whole stream: what anybody read is read for all. */
export const sharedReader: Reader = 'shared' as Reader
