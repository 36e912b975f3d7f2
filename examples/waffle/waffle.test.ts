import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Operation, runOperation, silentLogger } from '@millrace/sdk'
import { bigOnes } from './big-ones.ts'
import { waffle } from './waffle.ts'

/** The lines that an operation makes of these. */
const outputOf = async (
  operation: Operation,
  config: Readonly<Record<string, unknown>>,
  lines: readonly string[],
): Promise<readonly string[]> => {
  const chunks: Uint8Array[] = []
  await runOperation(operation, {
    config,
    input: (async function* () {
      yield Buffer.from(lines.map((l) => `${l}\n`).join(''))
    })(),
    write: (chunk) => void chunks.push(chunk),
    log: silentLogger,
    signal: new AbortController().signal,
  })
  return Buffer.concat(chunks).toString().trimEnd().split('\n')
}

test('waffle makes waffles of pancakes', async () => {
  assert.deepEqual(
    await outputOf(waffle, { from: 'pancake', to: 'waffle' }, ['a pancake', '', 'pancakes, no crêpes']),
    ['a waffle', '', 'waffles, no crêpes'],
  )
})

test('big-ones drops the small, marks the others, and hands on every digit', async () => {
  const out = await outputOf(bigOnes, { field: 'amount', least: 100 }, [
    '{"type":"SCHEMA","stream":"orders","schema":{"properties":{"amount":{"type":"integer"}}},"key_properties":[]}',
    '{"type":"RECORD","stream":"orders","record":{"amount":99}}',
    '{"type":"RECORD","stream":"orders","record":{"amount":12345678901234567890}}',
    '{"type":"STATE","value":2}',
  ])
  assert.deepEqual(out, [
    '{"type":"SCHEMA","stream":"orders","schema":{"properties":{"amount":{"type":"integer"},"big":{"type":"boolean"}}},"key_properties":[]}',
    '{"type":"RECORD","stream":"orders","record":{"amount":12345678901234567890,"big":true}}',
    '{"type":"STATE","value":2}',
  ])
})
