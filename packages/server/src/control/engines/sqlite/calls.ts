/** Which methods change something: those run on the writer's thread. All others read, where they are asked. */
import type { ControlPlane } from '../../control-plane.ts'

/** The parts of a control plane. */
export type Areas = Omit<ControlPlane, 'sweep' | typeof Symbol.asyncDispose>
export type Area = keyof Areas

type Writes = { readonly [A in Area]: readonly (keyof Areas[A])[] }

export const writes: Writes = {
  streams: ['create', 'made', 'update', 'beginRemoval', 'remove', 'forgetBefore'],
  permissions: ['grant', 'revoke'],
  clients: ['create', 'rotate', 'endRotation', 'revoke', 'remove', 'seen'],
  users: ['create', 'ensure', 'update', 'setPassword', 'setOneTimeLogin', 'takeOneTimeLogin', 'remove'],
  readStatus: ['mark', 'unmark', 'reset'],
  groups: [
    'create',
    'update',
    'remove',
    'claim',
    'ack',
    'nack',
    'release',
    'extend',
    'dropDeadLetters',
    'retryDeadLetters',
  ],
  parts: ['addSchema', 'removeSchema', 'activateSchema', 'addKey', 'activateKey'],
  batches: ['create', 'partCame', 'finish', 'remove'],
  subscriptions: ['create', 'update', 'hold', 'note', 'remove'],
  tokens: ['signingKey', 'rotate', 'secret', 'revoke', 'revokeAll'],
  idempotency: ['begin', 'finish', 'abandon'],
  audit: ['append', 'forgetBefore'],
}
