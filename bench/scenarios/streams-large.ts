/** A long stream: ten million small records in one, appended, found by time and by offset, and read from one end to the other. */
import { mkdtempSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Offset, offset, RecordBatch, SqliteEngine, streamName } from '@millrace/engine'
import type { Scenario } from '../harness.ts'

const records = 10_000_000
const perCall = 1_000
/** 10^8 of them are 100,000 rows more in the same table: less than 10 bytes a record on the disk keep that under a gigabyte. */
const maxBytesPerRecord = 10

const callOf = (from: number): RecordBatch => {
  let lines = ''
  for (let i = from; i < from + perCall; i++)
    lines += `{"id":${i},"at":"2026-11-28T20:00:${String(i % 60).padStart(2, '0')}Z","value":${((i * 7919) % 100_000) / 100}}\n`
  return RecordBatch.lines(Buffer.from(lines))
}

export const streamsLarge: Scenario = {
  name: 'streams-large',
  title: 'Ten million small records in one stream, appended in calls of 1,000, found and read again',
  subjects: [
    {
      name: 'sqlite engine, all of it',
      run: async (data) => {
        const path = join(mkdtempSync(join(data.dir, 'large-')), 'streams.db')
        const now = (): Date => new Date()
        {
          await using engine = await SqliteEngine.open({ path, now })
          const log = await engine.create(streamName('s'))
          for (let i = 0; i < records; i += perCall) await log.append(callOf(i))
        }
        const perRecord = statSync(path).size / records
        if (perRecord > maxBytesPerRecord) throw new Error(`${perRecord} bytes a record`)
        await using engine = await SqliteEngine.open({ path, now })
        const log = await engine.open(streamName('s'))
        const middle = offset(records / 2)
        const [found] = await log.get([middle])
        if (found === undefined || (await log.place({ from: 'time', at: found.at })) > middle)
          throw new Error('the record in the middle is not where it was')
        let read = 0
        let at = await log.place({ from: 'first' })
        for (;;) {
          const stored = await log.read({ from: 'offset', offset: at })
          if (stored.length === 0) break
          for (const { records: batch } of stored) {
            read += batch.count
            at = (at + BigInt(batch.count)) as Offset
          }
        }
        if (read !== records) throw new Error(`${read} records were read`)
        return records
      },
    },
  ],
  claims: [],
}
