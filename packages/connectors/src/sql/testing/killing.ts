import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, test } from 'node:test'
import { type Destination, Place, settingsOf } from './destination.ts'
import { rowsPerFlush } from './flusher.ts'

const kills = 20

export const killTests = (d: Destination): void => {
  describe(`${d.name}: killed`, () => {
    test(`with SIGKILL at ${kills} random points, it holds whole flushes and none less than was told`, async () => {
      const seed = Number(process.env['MILLRACE_TEST_SEED'] ?? Date.now() % 1_000_000)
      console.log(`seed ${seed}`)
      let state = seed
      const random = (n: number): number => {
        state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
        return (state >>> 8) % n
      }
      await using place = await Place.make(d)
      let done = 0
      for (let kill = 0; kill < kills; kill++) {
        const child = spawn(
          process.execPath,
          [join(import.meta.dirname, 'flusher.ts'), d.module, JSON.stringify(settingsOf(d, place.path)), String(done)],
          { stdio: ['ignore', 'pipe', 'inherit'] },
        )
        const ended = once(child, 'exit')
        let told = done
        // After some flushes, killed at some moment of the next: the timer is the random point, not a wait for anything.
        const after = done + random(2)
        let timer = after === done ? setTimeout(() => child.kill('SIGKILL'), 80 + random(200)) : undefined
        for await (const line of createInterface({ input: child.stdout })) {
          told = Number(line)
          if (told >= after && timer === undefined) timer = setTimeout(() => child.kill('SIGKILL'), random(15))
        }
        const [, signal] = (await ended) as [number | null, string | null]
        clearTimeout(timer)
        assert.equal(signal, 'SIGKILL', 'the child ended by itself')
        const table = await d.read(place.path, 'k')
        const rows = table?.rows ?? []
        const held = rows.length / rowsPerFlush
        assert.ok(held === told || held === told + 1, `told ${told} flushes, holds ${rows.length} rows`)
        rows.forEach((row, id) => {
          assert.equal(row[0], String(id))
          assert.equal(row[1], String(Math.min(Math.floor(id / rowsPerFlush) + 1, held - 1)))
          assert.equal(row[2]?.length, id % 300)
        })
        done = held
      }
      assert.ok(done > 0)
    })
  })
}
