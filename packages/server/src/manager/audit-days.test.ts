import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { silentLogger } from '@millrace/sdk'
import { startManager } from '../app.ts'
import { readManagerNote } from './folder.ts'

it('forgets lines of the audit log after so many days, and none of them where nothing was said', {
  timeout: 60_000,
}, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-audit-'))
  const start = async (day: number, auditDays?: number) => {
    const now = () => new Date(Date.UTC(2026, 0, day))
    const options = { projectDir: dir, listen: '127.0.0.1:0', version: '0.0.0', log: silentLogger, now, auditDays }
    const manager = await startManager(options)
    const ask = async (method: string, path: string, body?: object) => {
      const headers = {
        authorization: `Bearer ${readManagerNote(dir)?.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      }
      const sent = body === undefined ? {} : { body: JSON.stringify(body) }
      const response = await fetch(`${manager.url}/api/v1${path}`, { method, headers, ...sent })
      assert.ok(response.ok, await response.clone().text())
      return (await response.json()) as { readonly items: readonly { readonly at: string }[] }
    }
    const days = async () => new Set((await ask('GET', '/audit')).items.map(({ at }) => new Date(at).getUTCDate()))
    return { ask, days, [Symbol.asyncDispose]: () => manager.close() }
  }
  try {
    for (const day of [1, 10]) {
      await using manager = await start(day)
      await manager.ask('POST', '/streams', { name: `of-${day}` })
    }
    {
      await using manager = await start(12)
      assert.deepEqual(await manager.days(), new Set([10, 1]))
    }
    await using manager = await start(12, 5)
    while ((await manager.days()).has(1)) await pause(20)
    assert.deepEqual(await manager.days(), new Set([10]))
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
