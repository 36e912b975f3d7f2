import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, it } from 'node:test'
import assert from 'node:assert/strict'
import { type Actor, noRights, ownerRights } from '../../../domain/access.ts'
import type { ControlPlane } from '../../control-plane.ts'
import { controlPlaneSuite } from '../../testing/control-plane-suite.ts'
import { act, newClient, newStream, newUser } from '../../testing/world.ts'
import { controlFile, openSqliteControlPlane } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-control-'))
after(() => rmSync(folder, { recursive: true, force: true }))

let made = 0
const files = new WeakMap<ControlPlane, string>()
const opened = async (file: string): Promise<ControlPlane> => {
  const plane = await openSqliteControlPlane(file)
  files.set(plane, file)
  return plane
}

controlPlaneSuite({
  name: 'sqlite',
  make: () => opened(controlFile(join(folder, String(made++)))),
  another: (first) => opened(files.get(first) ?? ''),
})

it('knows at once what was granted and revoked, here and by another process', async () => {
  const file = controlFile(join(folder, String(made++)))
  await using here = await openSqliteControlPlane(file)
  await using there = await openSqliteControlPlane(file)
  const owner: Actor = { type: 'user', id: (await here.users.create(act(), newUser())).id }
  const client: Actor = { type: 'client', id: (await here.clients.create(act(1, owner), newClient(owner))).id }
  const { id } = await here.streams.create(act(1, owner), newStream(owner, { name: 's' }))
  await here.streams.made(id)
  const rights = async (of: Actor) => (await here.streams.access('s', of))?.rights
  assert.deepEqual(await rights(owner), ownerRights)
  for (const plane of [here, there]) {
    assert.equal(await rights(client), undefined)
    await plane.permissions.grant(act(), id, client, { ...noRights, isProducer: true })
    // In the turn in which it was told, many times over.
    for (let i = 0; i < 3; i++) assert.deepEqual(await rights(client), { ...noRights, isProducer: true })
    if (plane === there) await new Promise(setImmediate)
    await plane.permissions.revoke(act(), id, client)
    // What another process did counts from the next turn of the event loop on.
    if (plane === there) await new Promise(setImmediate)
    assert.equal(await rights(client), undefined)
  }
  await there.streams.beginRemoval(act(), id)
  await new Promise(setImmediate)
  assert.equal(await here.streams.access('s', owner), undefined)
})
