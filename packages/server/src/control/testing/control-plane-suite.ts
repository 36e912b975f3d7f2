/** The contract of the control plane as tests: every engine passes all of them. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sharedReader } from '../../domain/access.ts'
import { actorsSuite } from './actors-suite.ts'
import { groupsSuite } from './groups-suite.ts'
import { partsSuite } from './parts-suite.ts'
import { readStatusSuite } from './read-status-suite.ts'
import { streamsSuite } from './streams-suite.ts'
import { act, code, type ControlPlaneSuiteOptions, newUser, withStream } from './world.ts'

export type { ControlPlaneSuiteOptions }

export const controlPlaneSuite = (options: ControlPlaneSuiteOptions): void => {
  describe(`streams and grants on ${options.name}`, () => streamsSuite(options))
  describe(`clients, users and tokens on ${options.name}`, () => actorsSuite(options))
  describe(`read status on ${options.name}`, () => readStatusSuite(options))
  describe(`groups on ${options.name}`, () => groupsSuite(options))
  describe(`schemas, batches and subscriptions on ${options.name}`, () => partsSuite(options))

  describe(`the life of a control plane on ${options.name}`, () => {
    it('is seen whole by another manager on the same database', async () => {
      await using plane = await options.make()
      const { streamId, owner } = await withStream(plane)
      await using other = await options.another(plane)
      assert.equal((await other.streams.access(streamId, owner))?.rights?.isOwner, true)
      await other.readStatus.mark({ streamId, reader: sharedReader }, [{ first: 0n, next: 2n }])
      assert.equal(await plane.readStatus.countUnread({ streamId, reader: sharedReader }, { first: 0n, next: 3n }), 1n)
    })

    it('undoes alone what fails, whatever is done beside it', async () => {
      await using plane = await options.make()
      const { streamId } = await withStream(plane)
      const wanted = newUser({ email: 'one@example.org' })
      const all = await Promise.allSettled([
        plane.users.create(act(), wanted),
        plane.users.create(act(), newUser({ email: 'one@example.org' })),
        plane.streams.update(act(), 'none', {}),
        plane.streams.update(act(), streamId, { description: 'x' }),
      ])
      assert.deepEqual(
        all.map((r) => r.status),
        ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
      )
      const lines = (await plane.audit.list({})).items.map((l) => l.action)
      assert.equal(lines.filter((a) => a === 'user.created').length, 2)
      assert.equal(lines.filter((a) => a === 'stream.changed').length, 1)
    })

    it('does what was begun when it is closed, and then nothing more', async () => {
      const plane = await options.make()
      await using other = await options.another(plane)
      const { streamId } = await withStream(plane)
      const marks = Array.from({ length: 20 }, (_, i) =>
        plane.readStatus.mark({ streamId, reader: sharedReader }, [{ first: BigInt(2 * i), next: BigInt(2 * i + 1) }]),
      )
      await plane[Symbol.asyncDispose]()
      await plane[Symbol.asyncDispose]()
      await Promise.all(marks)
      assert.equal(
        await other.readStatus.countUnread({ streamId, reader: sharedReader }, { first: 0n, next: 40n }),
        20n,
      )
      const closed = code('CONTROL_UNAVAILABLE')
      await assert.rejects(plane.streams.find('x'), closed)
      await assert.rejects(plane.streams.update(act(), streamId, {}), closed)
      await assert.rejects(plane.readStatus.mark({ streamId, reader: sharedReader }, [{ first: 0n, next: 1n }]), closed)
    })
  })
}
