import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  decide,
  isScope,
  noRights,
  ownerRights,
  type Principal,
  type Rights,
  type Scope,
  type StreamAction,
} from './access.ts'

const principal = (scopes: readonly Scope[], isAdministrator = false): Principal => ({
  type: 'user',
  id: 'u',
  scopes,
  isAdministrator,
})
const everything: readonly Scope[] = ['streams:manage', 'records:read', 'records:write', 'admin']
const actions: readonly StreamAction[] = ['show', 'describe', 'write', 'read', 'manage']
const producer: Rights = { ...noRights, isProducer: true }
const consumer: Rights = { ...noRights, isConsumer: true }

describe('access', () => {
  const table: readonly (readonly [string, Principal, Rights | undefined, readonly StreamAction[]])[] = [
    ['an owner may do all', principal(everything), ownerRights, actions],
    ['one who owns needs no other right', principal(everything), { ...noRights, isOwner: true }, actions],
    ['a producer writes', principal(everything), producer, ['show', 'describe', 'write']],
    ['a consumer reads', principal(everything), consumer, ['show', 'describe', 'read']],
    ['one without rights that was added sees it', principal(everything), noRights, ['show', 'describe']],
    ['a token to read does not write', principal(['records:read']), ownerRights, ['show', 'describe', 'read']],
    ['a token to write does not read', principal(['records:write']), ownerRights, ['show', 'describe', 'write']],
    ['a token to manage does neither', principal(['streams:manage']), ownerRights, ['show', 'describe', 'manage']],
    ['a token without scopes does nothing', principal([]), ownerRights, []],
    [
      'an administrator manages, and reads nothing',
      principal(everything, true),
      undefined,
      ['show', 'describe', 'manage'],
    ],
    [
      'an administrator who was granted it reads',
      principal(everything, true),
      consumer,
      ['show', 'describe', 'read', 'manage'],
    ],
    ['the scope alone makes no administrator', principal(['admin']), consumer, ['show', 'describe']],
  ]
  for (const [what, who, rights, may] of table)
    it(what, () => {
      for (const action of actions)
        assert.equal(decide(who, action, rights).is, may.includes(action) ? 'allowed' : 'forbidden', action)
    })

  it('hides a stream from everybody to whom nothing was granted', () => {
    for (const who of [principal(everything), principal([]), principal(['records:read'], true)])
      for (const action of actions) assert.equal(decide(who, action, undefined).is, 'hidden', action)
  })

  it('says what lacks', () => {
    assert.deepEqual(decide(principal(['records:read']), 'write', producer), {
      is: 'forbidden',
      needs: 'the scope records:write',
    })
    assert.deepEqual(decide(principal(everything), 'read', producer), {
      is: 'forbidden',
      needs: 'the right of a consumer',
    })
  })

  it('knows its scopes', () => {
    assert.ok(everything.every(isScope))
    assert.ok(!isScope('records:*') && !isScope(''))
  })
})
