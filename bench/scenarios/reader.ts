import { createReadStream, readFileSync } from 'node:fs'
import { MessageReader, readMessages } from '@millrace/sdk'
import type { DataFiles, Run, Scenario } from '../harness.ts'

/** What JSON.parse alone costs: split the bytes at newlines and parse each line, so many times over. */
export const splitAndParse =
  (file: (d: DataFiles) => string, passes = 1): Run =>
  async (data) => {
    const b = readFileSync(file(data))
    let records = 0
    for (let pass = 0; pass < passes; pass++) {
      for (let at = 0, newline = b.indexOf(10); newline >= 0; newline = b.indexOf(10, at)) {
        const message = JSON.parse(b.toString('utf8', at, newline)) as { type: string }
        if (message.type === 'RECORD') records++
        at = newline + 1
      }
    }
    return records
  }

const readOpened =
  (file: (d: DataFiles) => string): Run =>
  async (data) => {
    const b = readFileSync(file(data))
    const reader = new MessageReader({ open: true })
    let records = 0
    for (let at = 0; at < b.length; at += 65536) {
      for (const m of reader.push(b.subarray(at, at + 65536)))
        if (m.type === 'RECORD' && m.record !== undefined) records++
    }
    if (reader.failure !== undefined) throw reader.failure
    return records
  }

const readUnopened =
  (file: (d: DataFiles) => string): Run =>
  async (data) => {
    let records = 0
    for await (const messages of readMessages(createReadStream(file(data), { highWaterMark: 256 * 1024 })))
      for (const m of messages) if (m.type === 'RECORD') records++
    return records
  }

const shapes = [
  ['wide', (d: DataFiles) => d.wide],
  ['narrow', (d: DataFiles) => d.narrow],
  ['updates', (d: DataFiles) => d.updates],
] as const

export const reader: Scenario = {
  name: 'reader',
  title: 'Message reader',
  subjects: shapes.flatMap(([shape, file]) => [
    { name: `split + JSON.parse, ${shape}`, run: splitAndParse(file) },
    { name: `reader, records parsed, ${shape}`, run: readOpened(file) },
    { name: `reader, records not opened, ${shape}`, run: readUnopened(file) },
  ]),
  claims: shapes.map(([shape]) => ({
    path: `message reader, records parsed (${shape})`,
    subject: `reader, records parsed, ${shape}`,
    baseline: `split + JSON.parse, ${shape}`,
    ratio: 0.8,
  })),
}
