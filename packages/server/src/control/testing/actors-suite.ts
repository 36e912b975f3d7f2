import assert from 'node:assert/strict'
import { it } from 'node:test'
import { type Actor, readerOf } from '../../domain/access.ts'
import {
  act,
  allPages,
  code,
  type ControlPlaneSuiteOptions,
  freshId,
  newClient,
  newStream,
  newUser,
  second,
  somebody,
  withStream,
} from './world.ts'

const hash = (n: number): Uint8Array => Uint8Array.from(Buffer.alloc(32, n))

/** Clients, users, tokens and idempotency keys. */
export const actorsSuite = ({ make }: ControlPlaneSuiteOptions): void => {
  it('keeps at most two secrets of a client, the newest', async () => {
    await using plane = await make()
    const { owner } = await withStream(plane)
    const { id } = await plane.clients.create(
      act(1, owner),
      newClient(owner, { secret: { id: freshId(), hash: hash(1) } }),
    )
    assert.deepEqual(await plane.clients.secretHashes(id), [hash(1)])
    assert.equal((await plane.clients.rotate(act(2), id, { id: freshId(), hash: hash(2) })).secrets, 2)
    assert.deepEqual(await plane.clients.secretHashes(id), [hash(2), hash(1)])
    assert.equal((await plane.clients.rotate(act(3), id, { id: freshId(), hash: hash(3) })).secrets, 2)
    assert.deepEqual(await plane.clients.secretHashes(id), [hash(3), hash(2)])
    assert.equal((await plane.clients.endRotation(act(4), id)).secrets, 1)
    assert.deepEqual(await plane.clients.secretHashes(id), [hash(3)])
    await plane.clients.revoke(act(5), id)
    assert.deepEqual(await plane.clients.secretHashes(id), [])
    assert.equal((await plane.clients.find(id))?.isRevoked, true)
    assert.deepEqual(await plane.clients.secretHashes('none'), [])
    for (const change of [
      () => plane.clients.rotate(act(), 'none', { id: 'x', hash: hash(1) }),
      () => plane.clients.endRotation(act(), 'none'),
      () => plane.clients.revoke(act(), 'none'),
      () => plane.clients.remove(act(), 'none'),
    ])
      await assert.rejects(change, code('ACTOR_UNKNOWN'))
  })

  it('lists the clients of an owner and all, and when they were seen, to the minute', async () => {
    await using plane = await make()
    const { owner } = await withStream(plane)
    const other = await withStream(plane)
    const mine: string[] = []
    for (let i = 0; i < 5; i++) mine.push((await plane.clients.create(act(), newClient(owner))).id)
    const theirs = await plane.clients.create(act(), newClient(other.owner, { displayName: 'T', description: 'd' }))
    assert.deepEqual(await plane.clients.find(theirs.id), {
      id: theirs.id,
      displayName: 'T',
      description: 'd',
      owner: other.owner,
      createdAt: second(0),
      lastUsedAt: undefined,
      isRevoked: false,
      secrets: 1,
    })
    const page = await allPages((after) => plane.clients.list({ owner, after, limit: 2 }))
    assert.deepEqual([page.items.map((c) => c.id), page.pages], [mine, 3])
    assert.equal((await allPages((after) => plane.clients.list({ after, limit: 4 }))).items.length, 6)
    await plane.clients.seen([{ id: theirs.id, at: second(125) }])
    assert.deepEqual((await plane.clients.find(theirs.id))?.lastUsedAt, second(120))
    await plane.clients.seen([{ id: theirs.id, at: second(30) }])
    assert.deepEqual((await plane.clients.find(theirs.id))?.lastUsedAt, second(120))
  })

  it('takes what a client was granted and has read with it', async () => {
    await using plane = await make()
    const { owner, streamId } = await withStream(plane)
    const { id } = await plane.clients.create(act(), newClient(owner))
    const robot: Actor = { type: 'client', id }
    await plane.permissions.grant(act(), streamId, robot, { isOwner: false, isProducer: false, isConsumer: true })
    await plane.readStatus.mark({ streamId, reader: readerOf(robot) }, [{ first: 0n, next: 3n }])
    await plane.clients.remove(act(), id)
    assert.equal(await plane.clients.find(id), undefined)
    assert.deepEqual((await plane.permissions.list(streamId)).length, 1)
    assert.deepEqual((await plane.readStatus.readersOf(streamId, 0n, {})).items, [])
    assert.deepEqual(await plane.tokens.check({ id: 't', actor: robot, issuedAt: second(9), keyId: 'k' }), {
      is: 'actor-gone',
    })
  })

  it('knows users by id and by address, whatever its case', async () => {
    await using plane = await make()
    const user = await plane.users.create(act(1), newUser({ email: 'Ann@Example.org', isAdministrator: true }))
    assert.deepEqual(user, {
      id: user.id,
      email: 'ann@example.org',
      displayName: 'U',
      isAdministrator: true,
      createdAt: second(1),
      hasPassword: false,
    })
    assert.deepEqual(await plane.users.findByEmail('ANN@example.org'), user)
    await assert.rejects(plane.users.create(act(), newUser({ email: 'ann@EXAMPLE.org' })), code('USER_EXISTS'))
    assert.deepEqual(await plane.users.ensure(act(), newUser({ email: 'ann@example.ORG' })), user)
    const made = await plane.users.ensure(act(), newUser({ email: 'new@example.org' }))
    assert.deepEqual(await plane.users.find(made.id), made)
    assert.deepEqual((await allPages((after) => plane.users.list({ after, limit: 1 }))).items, [user, made])
    assert.equal(await plane.users.passwordHash(user.id), undefined)
    await plane.users.setPassword(act(), user.id, 'scrypt$x')
    assert.equal(await plane.users.passwordHash(user.id), 'scrypt$x')
    assert.equal((await plane.users.find(user.id))?.hasPassword, true)
    const changed = await plane.users.update(act(), made.id, { displayName: 'New', isAdministrator: true })
    assert.deepEqual(changed, { ...made, displayName: 'New', isAdministrator: true })
    await plane.users.remove(act(), made.id)
    assert.equal(await plane.users.find(made.id), undefined)
    await assert.rejects(plane.users.remove(act(), made.id), code('ACTOR_UNKNOWN'))
    await assert.rejects(plane.users.setPassword(act(), made.id, 'x'), code('ACTOR_UNKNOWN'))
    await assert.rejects(plane.users.update(act(), made.id, changed), code('ACTOR_UNKNOWN'))
  })

  it('lets a one-time login work once, in time, and only the newest', async () => {
    await using plane = await make()
    const user = await plane.users.create(act(), newUser())
    await plane.users.setOneTimeLogin(act(), user.id, hash(1), second(100))
    await plane.users.setOneTimeLogin(act(), user.id, hash(2), second(100))
    assert.equal(await plane.users.takeOneTimeLogin(hash(1), second(1)), undefined)
    assert.equal(await plane.users.takeOneTimeLogin(hash(2), second(100)), undefined)
    const taken = await Promise.all([1, 2, 3].map((n) => plane.users.takeOneTimeLogin(hash(2), second(n))))
    assert.deepEqual(
      taken.filter((u) => u !== undefined).map((u) => u.id),
      [user.id],
    )
    assert.equal(await plane.users.takeOneTimeLogin(hash(2), second(4)), undefined)
  })

  it('sets a password with a one-time login, and then no token of before is good', async () => {
    await using plane = await make()
    const user = await plane.users.create(act(), newUser())
    const key = { id: 'k', algorithm: 'HS256', secret: hash(9), createdAt: second(0), retiredAt: undefined }
    const { id: keyId } = await plane.tokens.signingKey(key)
    const check = async (at: number) =>
      (await plane.tokens.check({ id: 't', actor: { type: 'user', id: user.id }, issuedAt: second(at), keyId })).is
    await plane.users.setOneTimeLogin(act(), user.id, hash(1), second(100))
    assert.equal(await plane.users.takeOneTimeLogin(hash(2), second(10), 'scrypt$x'), undefined)
    assert.deepEqual([await plane.users.passwordHash(user.id), await check(9)], [undefined, 'good'])
    assert.equal((await plane.users.takeOneTimeLogin(hash(1), second(10), 'scrypt$x'))?.hasPassword, true)
    assert.equal(await plane.users.passwordHash(user.id), 'scrypt$x')
    assert.deepEqual([await check(9), await check(10)], ['revoked', 'good'])
  })

  it('has one signing key and one secret for all, and keys that only check after a rotation', async () => {
    await using plane = await make()
    const key = (n: number) => ({
      id: `k${n}`,
      algorithm: 'EdDSA',
      secret: hash(n),
      createdAt: second(n),
      retiredAt: undefined,
    })
    const got = await Promise.all([1, 2, 3].map((n) => plane.tokens.signingKey(key(n))))
    assert.equal(new Set(got.map((k) => k.id)).size, 1)
    const [first] = got
    await plane.tokens.rotate(act(10), key(4), second(0))
    assert.deepEqual(await plane.tokens.signingKey(key(5)), key(4))
    assert.deepEqual(await plane.tokens.signingKeys(), [key(4), { ...first, retiredAt: second(10) }])
    await plane.tokens.rotate(act(20), key(6), second(11))
    assert.deepEqual(
      (await plane.tokens.signingKeys()).map((k) => k.id),
      ['k6', 'k4'],
    )
    const secrets = await Promise.all([7, 8].map((n) => plane.tokens.secret('record-ids', hash(n))))
    assert.deepEqual(secrets[0], secrets[1])
    assert.deepEqual(await plane.tokens.secret('other', hash(9)), hash(9))
  })

  it('tells tokens that stand from those that were revoked', async () => {
    await using plane = await make()
    const { owner } = await withStream(plane)
    const { id } = await plane.clients.create(act(), newClient(owner))
    const admin = await plane.users.create(act(), newUser({ isAdministrator: true }))
    const robot: Actor = { type: 'client', id }
    const fresh = (key: string, at: number) => ({
      id: key,
      algorithm: 'HS256',
      secret: hash(at),
      createdAt: second(at),
      retiredAt: undefined,
    })
    const { id: keyId } = await plane.tokens.signingKey(fresh('old', 1))
    const check = (token: string, actor: Actor, at: number) =>
      plane.tokens.check({ id: token, actor, issuedAt: second(at), keyId })
    assert.deepEqual(await check('a', robot, 1), { is: 'good', isAdministrator: false })
    assert.deepEqual(await check('a', { type: 'user', id: admin.id }, 1), { is: 'good', isAdministrator: true })
    assert.deepEqual(await check('a', somebody, 1), { is: 'actor-gone' })
    await plane.tokens.revoke(act(), { id: 'a', expiresAt: second(50) })
    await plane.tokens.revoke(act(), { id: 'a', expiresAt: second(50) })
    assert.deepEqual(await check('a', robot, 1), { is: 'revoked' })
    assert.deepEqual((await check('b', robot, 1)).is, 'good')
    await plane.tokens.revokeAll(act(10), robot)
    assert.deepEqual((await check('b', robot, 10)).is, 'revoked')
    assert.deepEqual((await check('b', robot, 11)).is, 'good')
    await plane.clients.revoke(act(12), id)
    assert.deepEqual((await check('c', robot, 13)).is, 'revoked')
    await plane.sweep(second(49))
    assert.deepEqual((await check('a', { type: 'user', id: admin.id }, 1)).is, 'revoked')
    await plane.sweep(second(50))
    assert.deepEqual((await check('a', { type: 'user', id: admin.id }, 1)).is, 'good')
    // A key that was replaced still checks what it signed; one that was forgotten does not, whose token it ever is.
    await plane.tokens.rotate(act(20), fresh('new', 20), second(20))
    assert.deepEqual((await check('b', { type: 'user', id: admin.id }, 11)).is, 'good')
    await plane.tokens.rotate(act(30), fresh('newest', 30), new Date(second(30).getTime() + 1))
    assert.deepEqual((await check('b', { type: 'user', id: admin.id }, 11)).is, 'revoked')
    assert.deepEqual((await check('a', { type: 'user', id: admin.id }, 1)).is, 'revoked')
    assert.deepEqual(
      (await plane.tokens.signingKeys()).map((key) => key.id),
      ['newest'],
    )
    assert.deepEqual(
      (
        await plane.tokens.check({
          id: 'b',
          actor: { type: 'user', id: admin.id },
          issuedAt: second(31),
          keyId: 'newest',
        })
      ).is,
      'good',
    )
  })

  it('answers a request with a key once, and refuses another request with it', async () => {
    await using plane = await make()
    const key = { actor: somebody, key: 'k', fingerprint: 'f', expiresAt: second(100) }
    const begun = await Promise.all([0, 0, 0].map((n) => plane.idempotency.begin(key, second(n))))
    assert.deepEqual(begun.map((v) => v.is).sort(), ['new', 'unfinished', 'unfinished'])
    assert.deepEqual(await plane.idempotency.begin({ ...key, fingerprint: 'g' }, second(1)), { is: 'other-request' })
    assert.deepEqual(
      (await plane.idempotency.begin({ ...key, actor: { type: 'client', id: 'c' } }, second(1))).is,
      'new',
    )
    await plane.idempotency.finish(key, '{"a":1}')
    assert.deepEqual(await plane.idempotency.begin(key, second(99)), { is: 'done', response: '{"a":1}' })
    await plane.idempotency.abandon(key)
    assert.deepEqual((await plane.idempotency.begin(key, second(99))).is, 'done')
    assert.deepEqual((await plane.idempotency.begin({ ...key, expiresAt: second(200) }, second(100))).is, 'new')
    await plane.idempotency.abandon(key)
    assert.deepEqual((await plane.idempotency.begin(key, second(50))).is, 'new')
    await plane.sweep(second(100))
    assert.deepEqual((await plane.idempotency.begin(key, second(50))).is, 'new')
  })

  it('finds nothing by a text that no database keeps, and refuses to store one', async () => {
    // PostgreSQL has no NUL in texts: any such text was an internal error. Half a surrogate pair came back as U+FFFD.
    await using plane = await make()
    const { streamId, owner } = await withStream(plane)
    const refused = code('CONTROL_ARGUMENT')
    for (const bad of ['\0', 'a\0b', '\ud800', '\udc00x']) {
      const nobody: Actor = { type: 'client', id: bad }
      assert.equal(await plane.streams.find(bad), undefined)
      assert.equal(await plane.streams.access(bad, owner), undefined)
      assert.deepEqual((await plane.streams.list({ prefix: bad })).items, [])
      assert.deepEqual((await plane.streams.list({ actor: owner, after: bad })).items, [])
      assert.equal(await plane.permissions.of(streamId, nobody), undefined)
      assert.equal(await plane.clients.find(bad), undefined)
      assert.deepEqual(await plane.clients.secretHashes(bad), [])
      assert.equal(await plane.users.find(bad), undefined)
      assert.equal(await plane.users.findByEmail(bad), undefined)
      assert.deepEqual((await plane.users.list({ after: bad })).items, [])
      assert.equal(await plane.groups.find({ streamId, name: bad }), undefined)
      assert.deepEqual((await plane.groups.list(streamId, { after: bad })).items, [])
      assert.equal(await plane.parts.schema(streamId, bad), undefined)
      assert.equal(await plane.batches.find(streamId, bad), undefined)
      assert.deepEqual(await plane.tokens.check({ id: 't', actor: nobody, issuedAt: second(1), keyId: bad }), {
        is: 'actor-gone',
      })
      const before = (await plane.audit.list({})).items.length
      await assert.rejects(plane.users.create(act(), newUser({ displayName: bad })), refused)
      await assert.rejects(plane.clients.create(act(), newClient(owner, { description: bad })), refused)
      await assert.rejects(plane.streams.create(act(), newStream(owner, { displayName: bad })), refused)
      await assert.rejects(plane.streams.update(act(), streamId, { description: bad }), refused)
      await assert.rejects(plane.permissions.revoke(act(), streamId, nobody))
      assert.equal((await plane.audit.list({})).items.length, before)
    }
    const kept = '\u{10ffff}\ufffd\t'
    assert.equal((await plane.streams.update(act(), streamId, { description: kept })).description, kept)
    assert.equal((await plane.streams.find(streamId))?.description, kept)
  })
}
