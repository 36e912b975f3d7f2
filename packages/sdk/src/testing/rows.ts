/** Whether what a destination holds is what was sent, for destinations that write values in their own ways. */
import assert from 'node:assert/strict'
import { Decimal, encodeJson, isObject, type Json, type JsonObject, parseExact } from '../message/json.ts'

/** Rows by substream; or by whatever the destination calls its parts, where names are hostile. */
export type Rows = ReadonlyMap<string, readonly JsonObject[]>

/** A number's digits in one form: 1.50e1, 15 and "15.0" are the same. Undefined for what is no number. */
const digitsOf = (value: Json): string | undefined => {
  const text = typeof value === 'string' ? value : value instanceof Decimal ? value.text : String(value)
  const m = /^([-+]?)(\d*)(?:\.(\d*))?(?:e([-+]?\d+))?$/i.exec(text)
  if (m === null || `${m[2]}${m[3] ?? ''}` === '') return undefined
  const fraction = m[3] ?? ''
  const digits = `${m[2]}${fraction}`.replace(/^0+/, '')
  const bare = digits.replace(/0+$/, '')
  if (bare === '') return '0'
  return `${m[1] === '-' ? '-' : ''}${bare}e${Number(m[4] ?? 0) - fraction.length + digits.length - bare.length}`
}

/** Whether a stored value is the sent one: null may be missing, a truth value a number or a word, a nested value text. */
export const isSame = (stored: Json | undefined, sent: Json): boolean => {
  if (sent === null) return stored === null || stored === undefined
  if (stored === null || stored === undefined) return false
  if (typeof sent === 'boolean') return [String(sent), sent ? '1' : '0'].includes(String(stored))
  if (typeof sent === 'string') return stored === sent
  if (typeof sent === 'number' || typeof sent === 'bigint' || sent instanceof Decimal)
    return digitsOf(stored) === digitsOf(sent)
  let value: Json = stored
  if (typeof stored === 'string') {
    try {
      value = parseExact(stored)
    } catch {
      return false
    }
  }
  if (Array.isArray(sent))
    return (
      Array.isArray(value) && value.length === sent.length && sent.every((v, i) => isSame(value[i] as Json, v as Json))
    )
  const fields = sent as JsonObject
  return (
    isObject(value) &&
    Object.keys(fields).every((k) => isSame(Object.hasOwn(value, k) ? value[k] : null, fields[k] as Json))
  )
}

/** Fields that a persister may add to a row. */
const isAdded = (name: string): boolean => /^_sdc_/.test(name)

/** Whether a row holds this record and nothing else. */
const holds = (row: JsonObject, record: JsonObject): boolean =>
  isSame(row, record) &&
  Object.keys(row).every((k) => row[k] === null || row[k] === undefined || isAdded(k) || Object.hasOwn(record, k))

/** Fails unless the rows are these records, in any order. */
export const assertRows = (rows: readonly JsonObject[], records: readonly JsonObject[], what: string): void => {
  const left = new Map<string, JsonObject[]>()
  const idOf = (of: JsonObject): string => digitsOf(of['id'] ?? null) ?? '?'
  for (const row of rows) left.set(idOf(row), [...(left.get(idOf(row)) ?? []), row])
  for (const record of records) {
    const same = left.get(idOf(record)) ?? []
    const at = same.findIndex((row) => holds(row, record))
    assert.ok(
      at >= 0,
      `${what}: no row is ${encodeJson(record).slice(0, 300)}; with its id there are ${encodeJson(same).slice(0, 300)}`,
    )
    same.splice(at, 1)
  }
  const more = [...left.values()].flat()
  assert.equal(
    more.length,
    0,
    `${what}: ${more.length} rows too many, such as ${encodeJson(more[0] ?? null).slice(0, 300)}`,
  )
}
