/** A disk without room: what cannot be kept is refused, what was acknowledged stays, and all goes on when there is room. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { testManager } from './testing/manager.ts'

const isRoot = process.getuid?.() === 0

it('a manager on a full disk refuses with LOG_FULL, answers readers, and takes records again when there is room', {
  skip: isRoot ? false : 'needs root to mount a small disk',
  timeout: 60_000,
}, async () => {
  const root = mkdtempSync(join(tmpdir(), 'millrace-full-'))
  const disk = join(root, 'disk')
  mkdirSync(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', disk])
  try {
    const project = join(disk, 'project')
    mkdirSync(project)
    await using manager = await testManager({}, project)
    await manager.good('POST', '/api/v1/streams', { name: 's' })
    const read = async (token: string, from = 0) =>
      (await manager.ask('GET', `/api/v1/streams/s/records?from=offset:${from}`, { token })).status
    const other = await manager.client('a reader who comes later')
    await manager.good('POST', '/api/v1/streams/s/permissions', {
      actor: { type: 'client', id: other.id },
      isConsumer: true,
    })
    assert.equal(await read(manager.token), 200)
    const filling = join(disk, 'filling')
    writeFileSync(filling, Buffer.alloc(5 * 2 ** 20))
    // What cannot be compressed.
    const noise = (): string =>
      JSON.stringify(Buffer.from(Array.from({ length: 30_000 }, () => Math.random() * 256)).toString('base64'))
    const publish = async (body: string, headers: Readonly<Record<string, string>> = {}) =>
      await manager.ask('POST', '/api/v1/streams/s/records', { body, headers })
    let kept = 0
    for (;;) {
      const { status, text } = await publish(noise())
      if (status === 201) {
        kept++
        continue
      }
      assert.equal(status, 507, text)
      assert.equal((JSON.parse(text) as { readonly code: string }).code, 'LOG_FULL')
      break
    }
    assert.ok(kept > 10, `${kept} were kept`)
    // A body of lines says how far it got.
    const lines = await publish(`${noise()}\n`.repeat(200), { 'content-type': 'application/x-ndjson' })
    assert.equal(lines.status, 507)
    const { stored } = lines.json<{ readonly stored: { readonly records: number } }>()
    const { next } = await manager.good<{ readonly next: number }>('GET', '/api/v1/streams/s/stat')
    assert.equal(next, kept + stored.records)
    assert.equal(await read(manager.token, next - 1), 200)
    // What the audit log cannot tell is not read, however often it is tried.
    for (let i = 0; i < 2; i++) assert.equal(await read(other.token), 503)
    assert.equal((await manager.ask('GET', '/health')).status, 200)
    rmSync(filling)
    assert.equal(await read(other.token), 200)
    const again = await publish('{"room":true}')
    assert.equal(again.status, 201, again.text)
    assert.equal(again.json<{ readonly first: number }>().first, next)
  } finally {
    execFileSync('umount', [disk])
    rmSync(root, { recursive: true, force: true })
  }
})
