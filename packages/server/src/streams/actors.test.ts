import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { code, openWorld } from './testing/world.ts'

const consumer = { isOwner: false, isProducer: false, isConsumer: true }

describe('sharing a stream', () => {
  it('grants to an actor, to an address, and to a client that is made for it', async () => {
    await using world = await openWorld()
    const owner = await world.user()
    const other = await world.user()
    const { sharing, streams, clients, users } = world.service
    await streams.create(owner, { name: 's' })
    world.pass(1)
    await sharing.grant(owner, 's', { actor: other }, consumer)
    world.pass(1)
    const byMail = await sharing.grant(owner, 's', { email: 'New@Example.org' }, consumer)
    assert.deepEqual((await sharing.grant(owner, 's', { email: 'new@example.org' }, consumer)).actor, byMail.actor)
    world.pass(1)
    const made = await sharing.grant(owner, 's', { newClient: { displayName: 'robot' } }, consumer)
    assert.equal((await world.logins.client(made.actor.id, made.secret ?? ''))?.displayName, 'robot')
    assert.deepEqual(
      (await sharing.list(owner, 's')).map((p) => p.displayName),
      [(await users.me(owner)).email, (await users.me(other)).email, 'new@example.org', 'robot'],
    )
    await sharing.revoke(owner, 's', made.actor)
    assert.equal((await clients.get(owner, made.actor.id)).displayName, 'robot', 'the client stays')
    await clients.delete(owner, made.actor.id)
    for (const email of ['x', 'a@b c', 'a b@c', `${'x'.repeat(250)}@example.org`])
      await assert.rejects(sharing.grant(owner, 's', { email }, consumer), code('CONTROL_ARGUMENT'))
    await assert.rejects(sharing.revoke(owner, 's', { type: 'user', id: owner.id }), code('LAST_OWNER'))
    await assert.rejects(sharing.grant(other, 's', { email: 'x@example.org' }, consumer), code('ACCESS_DENIED'))
    await assert.rejects(
      sharing.grant({ ...owner, scopes: ['records:read'] }, 's', { email: 'x@example.org' }, consumer),
      code('ACCESS_DENIED'),
    )
    assert.equal(
      await world.control.users.findByEmail('x@example.org'),
      undefined,
      'nobody is made for who may not grant',
    )
  })
})

describe('clients', () => {
  it('are their owner’s, and nobody else knows them', async () => {
    await using world = await openWorld()
    const [owner, other] = [await world.user(), await world.user()]
    const administrator = await world.user({ isAdministrator: true })
    const { clients } = world.service
    const { client, secret } = await clients.create(owner, { displayName: 'robot', description: 'd' })
    assert.equal(Buffer.from(secret, 'base64url').length, 32)
    const theirs = [
      () => clients.get(other, client.id),
      () => clients.rotate(other, client.id),
      () => clients.endRotation(other, client.id),
      () => clients.revoke(other, client.id),
      () => clients.delete(other, client.id),
      () => clients.get(other, 'none'),
    ]
    for (const call of theirs) await assert.rejects(call, code('ACTOR_UNKNOWN'))
    await assert.rejects(clients.get({ ...owner, scopes: ['records:read'] }, client.id), code('ACCESS_DENIED'))
    await assert.rejects(clients.list(other, { all: true }), code('ACCESS_DENIED'))
    assert.deepEqual((await clients.list(other)).items, [])
    assert.deepEqual(
      (await clients.list(owner)).items.map((c) => c.id),
      [client.id],
    )
    assert.deepEqual(
      (await clients.list(administrator, { all: true })).items.map((c) => c.id),
      [client.id],
    )
    assert.equal((await clients.get(administrator, client.id)).id, client.id)
    await assert.rejects(clients.create(owner, { displayName: '' }), code('CONTROL_ARGUMENT'))
  })

  it('prove who they are by either of two secrets while one is rotated', async () => {
    await using world = await openWorld()
    const owner = await world.user()
    const { clients } = world.service
    const { client, secret } = await clients.create(owner, { displayName: 'robot' })
    const proves = async (text: string) => (await world.logins.client(client.id, text))?.id === client.id
    assert.ok(await proves(secret))
    assert.ok(!(await proves(`${secret}x`)) && !(await proves('')))
    assert.equal(await world.logins.client('none', secret), undefined)
    world.pass(1000)
    const second = (await clients.rotate(owner, client.id)).secret
    assert.deepEqual([await proves(secret), await proves(second)], [true, true])
    await clients.endRotation(owner, client.id)
    assert.deepEqual([await proves(secret), await proves(second)], [false, true])
    assert.ok((await clients.get(owner, client.id)).lastUsedAt !== undefined)
    await clients.revoke(owner, client.id)
    assert.ok(!(await proves(second)))
    const kept = await world.control.clients.secretHashes(client.id)
    assert.deepEqual(kept, [])
  })

  it('are of the user who made them, also those that a client made', async () => {
    await using world = await openWorld()
    const owner = await world.user()
    const { clients, users } = world.service
    const first = await clients.create(owner, { displayName: 'a' })
    const asFirst = { ...owner, type: 'client', id: first.client.id } as const
    const second = await clients.create(asFirst, { displayName: 'b' })
    assert.equal((await users.me({ ...asFirst, id: second.client.id })).id, owner.id)
  })
})

describe('users and logins', () => {
  it('are made by an administrator, with a login that works once', async () => {
    await using world = await openWorld()
    const administrator = await world.user({ isAdministrator: true })
    const somebody = await world.user()
    const { users } = world.service
    const { user, oneTimeLogin } = await users.create(administrator, { email: 'Ann@example.org' })
    assert.equal((await world.logins.oneTime(oneTimeLogin))?.id, user.id)
    assert.equal(await world.logins.oneTime(oneTimeLogin), undefined)
    await world.logins.setPassword({ ...somebody, id: user.id }, 'correct horse battery')
    await assert.rejects(users.create(administrator, { email: 'ann@example.org' }), code('USER_EXISTS'))
    await assert.rejects(users.create(somebody, { email: 'b@example.org' }), code('ACCESS_DENIED'))
    await assert.rejects(users.get(somebody, user.id), code('ACCESS_DENIED'))
    assert.equal((await users.get(somebody, somebody.id)).id, somebody.id)
    assert.equal((await users.list(administrator)).items.length, 3)
    await users.delete(administrator, user.id)
    await assert.rejects(users.get(administrator, user.id), code('ACTOR_UNKNOWN'))
  })

  // Who was granted something by e-mail was there without a login, and nothing made one.
  it('get a login when a grant made them, and another when they forgot their password', async () => {
    await using world = await openWorld()
    const administrator = await world.user({ isAdministrator: true })
    const { users, streams, sharing } = world.service
    await streams.create(administrator, { name: 's' })
    const { actor } = await sharing.grant(administrator, 's', { email: 'ann@example.org' }, consumer)
    const lost = await users.create(administrator, { email: 'Ann@example.org' })
    assert.deepEqual([lost.user.id, lost.user.isAdministrator], [actor.id, false])
    const made = await users.create(administrator, {
      email: 'ann@example.org',
      displayName: 'Ann',
      isAdministrator: true,
    })
    assert.deepEqual([made.user.id, made.user.displayName, made.user.isAdministrator], [actor.id, 'Ann', true])
    assert.equal((await users.create(administrator, { email: 'ann@example.org' })).user.isAdministrator, true)
    assert.equal(await world.logins.oneTime(lost.oneTimeLogin), undefined, 'only the newest works')
    const ann = { ...administrator, ...actor }
    await world.logins.setPassword(ann, 'correct horse battery')
    const token = { id: 't', actor, issuedAt: world.pass(1000) }
    const { oneTimeLogin } = await users.invite(administrator, 'ANN@example.org')
    assert.equal((await world.logins.check(token)).is, 'good')
    world.pass(1000)
    assert.equal((await world.logins.oneTime(oneTimeLogin, 'staple horse battery'))?.id, actor.id)
    assert.equal((await world.logins.check(token)).is, 'revoked')
    assert.equal(await world.logins.user('ann@example.org', 'correct horse battery'), undefined)
    const somebody = await world.user()
    await assert.rejects(users.invite(somebody, 'ann@example.org'), code('ACCESS_DENIED'))
    await assert.rejects(users.invite(administrator, 'bob@example.org'), code('ACTOR_UNKNOWN'))
    const actions = (await world.service.audit(administrator)).items.map((line) => line.action)
    assert.equal(actions.filter((action) => action === 'user.login-made').length, 4)
  })

  it('keep a login that works once where the password with it is refused', async () => {
    await using world = await openWorld()
    const administrator = await world.user({ isAdministrator: true })
    const { user, oneTimeLogin } = await world.service.users.create(administrator, { email: 'ann@example.org' })
    await assert.rejects(world.logins.oneTime(oneTimeLogin, 'short'), code('PASSWORD_WEAK'))
    const password = 'correct horse battery'
    assert.equal((await world.logins.oneTime(oneTimeLogin, password))?.id, user.id)
    assert.equal((await world.logins.user('ann@example.org', password))?.id, user.id)
    assert.equal(await world.logins.oneTime(oneTimeLogin, password), undefined)
  })

  it('have a password that is not kept', async () => {
    await using world = await openWorld()
    const user = await world.user()
    const { email } = await world.service.users.me(user)
    const password = 'correct horse battery'
    assert.equal(await world.logins.user(email, password), undefined)
    await assert.rejects(world.logins.setPassword(user, 'short'), code('PASSWORD_WEAK'))
    await world.logins.setPassword(user, password)
    assert.equal((await world.logins.user(email.toUpperCase(), password))?.id, user.id)
    assert.equal(await world.logins.user(email, `${password}!`), undefined)
    assert.equal(await world.logins.user('nobody@example.org', password), undefined)
    const kept = await world.control.users.passwordHash(user.id)
    assert.ok(kept?.startsWith('scrypt$131072$8$1$') && !kept.includes(password))
  })

  it('begin with an administrator who has one login', async () => {
    await using world = await openWorld()
    const first = await world.logins.firstAdministrator()
    assert.equal(first?.user.isAdministrator, true)
    assert.equal(await world.logins.firstAdministrator(), undefined)
    assert.deepEqual(await world.logins.administrator(), first?.user)
    const again = await world.logins.firstAdministrator({ again: true })
    assert.equal(again?.user.id, first?.user.id)
    assert.equal(await world.logins.oneTime(first?.login ?? ''), undefined)
    world.pass(25 * 3600_000)
    assert.equal(await world.logins.oneTime(again?.login ?? ''), undefined)
  })

  it('sign with one key, and revoke tokens', async () => {
    await using world = await openWorld()
    const [user, other] = [await world.user(), await world.user()]
    const administrator = await world.user({ isAdministrator: true })
    const key = await world.logins.signingKey()
    assert.deepEqual([key.secret.length, (await world.logins.signingKey()).id], [32, key.id])
    await assert.rejects(world.logins.rotateSigningKey(user), code('ACCESS_DENIED'))
    world.pass(1000)
    await world.logins.rotateSigningKey(administrator)
    assert.deepEqual((await world.logins.signingKeys()).length, 2)
    assert.notEqual((await world.logins.signingKey()).id, key.id)
    const token = { id: 't', actor: user, issuedAt: world.pass(1000) }
    assert.equal((await world.logins.check(token)).is, 'good')
    await world.logins.revokeToken(user, { id: 't', expiresAt: world.pass(1000) })
    assert.equal((await world.logins.check(token)).is, 'revoked')
    await assert.rejects(world.logins.revokeAllTokens(other, user), code('ACCESS_DENIED'))
    await world.logins.revokeAllTokens(user, user)
    assert.equal((await world.logins.check({ ...token, id: 'u' })).is, 'revoked')
    const signed = { id: 'v', actor: other, issuedAt: world.pass(1000), keyId: key.id }
    assert.equal((await world.logins.check(signed)).is, 'good')
    await world.logins.rotateSigningKey(administrator, { atOnce: true })
    assert.deepEqual((await world.logins.signingKeys()).length, 1)
    assert.equal((await world.logins.check(signed)).is, 'revoked')
  })
})
