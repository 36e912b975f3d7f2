/**
 * What the Stitch Import API takes and what it says of everything else, by its documentation and by what its clients
 * expect of it (docs/reference/stitch.md). Pure: a body in, what is to be stored or an answer out.
 */
import { Decimal, isObject, type Json, type JsonObject, parseExact } from '../message/json.ts'
import { decodeTransit, toJson } from '../message/transit.ts'

/** One change of a table, as a batch or a push brought it. */
export interface StitchMessage {
  readonly table: string
  readonly keys: readonly string[]
  readonly action: 'upsert' | 'activate_version'
  readonly sequence: bigint
  readonly version: bigint | undefined
  readonly data: JsonObject | undefined
  /** When it was taken from its source, as its client says; only of a batch. */
  readonly extracted: string | undefined
}

/** An answer that refuses a request. */
export interface Refusal {
  readonly status: number
  readonly body: JsonObject | string
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** What a request brought; `schema`: that of the one table of a batch. */
export interface Taken {
  readonly messages: readonly StitchMessage[]
  readonly schema: JsonObject | undefined
}

export type Verdict = Taken | { readonly refusal: Refusal }

export interface StitchRules {
  /** Messages of one request. */
  readonly maxMessages: number
  /** The client that the token belongs to; undefined: whichever, as long as all messages name the same. */
  readonly clientId: number | undefined
  /** What is wrong with a record by a schema: `#/FIELD: expected: T1, found: T2`; undefined where nothing is. */
  readonly violation: (schema: JsonObject, record: JsonObject) => string | undefined
}

const maxSequence = 9223372036854775807n
const maxKeyLength = 1024
const batchMembers = new Set(['table_name', 'key_names', 'schema', 'messages', 'table_version', 'bookmark_names'])
const messageMembers = new Set(['action', 'sequence', 'data', 'time_extracted'])
const schemaTypes = new Set(['null', 'boolean', 'object', 'array', 'number', 'integer', 'string'])

const batchError = (error: string): Verdict => ({ refusal: { status: 400, body: { error } } })
const invalid = (place: string, what: string): Verdict => batchError(`Request failed validation:${place}: ${what}`)

/** What the service calls the types of values. */
export const stitchType = (v: Json | undefined): string => {
  if (v === null || v === undefined) return 'Null'
  if (Array.isArray(v)) return 'JSONArray'
  if (isObject(v)) return 'JSONObject'
  if (typeof v === 'string') return 'String'
  if (typeof v === 'boolean') return 'Boolean'
  if (v instanceof Decimal) return 'BigDecimal'
  return 'Integer'
}

const wholeOf = (v: Json | undefined): bigint | undefined =>
  typeof v === 'bigint' ? v : typeof v === 'number' && Number.isInteger(v) ? BigInt(v) : undefined

const wrongCount = ({ maxMessages }: StitchRules): string =>
  `each data object must contain between 1 and ${maxMessages} records`

/** A body of `POST /v2/import/batch`. */
export const readBatch = (text: string, rules: StitchRules): Verdict => {
  let body: Json
  try {
    body = parseExact(text)
  } catch {
    return batchError('Malformed json in the body!')
  }
  if (!isObject(body)) return invalid('#', `expected type: JSONObject, found: ${stitchType(body)}`)
  const { table_name: table, key_names: keys, schema, messages, table_version: version } = body
  for (const name of ['table_name', 'schema', 'messages'])
    if (body[name] === undefined) return invalid('#', `required key [${name}] not found`)
  for (const name of Object.keys(body))
    if (!batchMembers.has(name)) return invalid('#', `extraneous key [${name}] is not permitted`)
  if (typeof table !== 'string') return invalid('#/table_name', `expected type: String, found: ${stitchType(table)}`)
  if (!isObject(schema as Json)) return invalid('#/schema', `expected type: JSONObject, found: ${stitchType(schema)}`)
  if (!Array.isArray(messages)) return invalid('#/messages', `expected type: JSONArray, found: ${stitchType(messages)}`)
  if (keys !== undefined && !Array.isArray(keys))
    return invalid('#/key_names', `expected type: JSONArray, found: ${stitchType(keys)}`)
  if (version !== undefined && wholeOf(version) === undefined)
    return invalid('#/table_version', `expected type: Integer, found: ${stitchType(version)}`)
  if (messages.length < 1 || messages.length > rules.maxMessages) return batchError(wrongCount(rules))
  const unknown = unknownType(schema as JsonObject)
  if (unknown !== undefined) return batchError(`Invalid JSON schema: unknown type: [${unknown}]`)
  const names = (keys ?? []) as readonly string[]
  const out: StitchMessage[] = []
  for (const [i, message] of messages.entries()) {
    if (!isObject(message))
      return invalid(`#/messages/${i}`, `expected type: JSONObject, found: ${stitchType(message)}`)
    for (const name of Object.keys(message))
      if (!messageMembers.has(name)) return invalid(`#/messages/${i}`, `extraneous key [${name}] is not permitted`)
    const { action, data } = message
    const sequence = wholeOf(message['sequence'])
    const isActivation = action === 'activate_version'
    if ((action !== 'upsert' && !isActivation) || sequence === undefined || (!isActivation && !isObject(data as Json)))
      return invalid(`#/messages/${i}`, '#: 0 subschemas matched instead of one')
    if (sequence > maxSequence) return invalid('#', `sequence can not be above ${maxSequence}`)
    const time = message['time_extracted']
    const extracted = typeof time === 'string' ? time : undefined
    const base = { table, keys: names, sequence, version: wholeOf(version), extracted }
    if (isActivation) {
      out.push({ ...base, action: 'activate_version', data: undefined })
      continue
    }
    const record = data as JsonObject
    const wrong = rules.violation(schema as JsonObject, record)
    if (wrong !== undefined) return batchError(`Record ${i} did not conform to schema: ${wrong}`)
    for (const key of names)
      if (record[key] === undefined || record[key] === null) return batchError(`Record is missing key property ${key}`)
    out.push({ ...base, action: 'upsert', data: record })
  }
  return { messages: out, schema: schema as JsonObject }
}

const unknownType = (schema: JsonObject): string | undefined => {
  const types = schema['type'] === undefined ? [] : [schema['type']].flat()
  const bad = types.find((t) => !schemaTypes.has(String(t)))
  if (bad !== undefined) return String(bad)
  const inner = [
    ...Object.values(isObject(schema['properties'] as Json) ? (schema['properties'] as JsonObject) : {}),
    schema['items'],
  ]
  for (const one of inner) {
    const found = one !== undefined && isObject(one) ? unknownType(one) : undefined
    if (found !== undefined) return found
  }
  return undefined
}

const clientOf = (message: Json | undefined): bigint | undefined =>
  message !== undefined && isObject(message) ? wholeOf(message['client_id']) : undefined

const pushError = (message: string, more: JsonObject = {}): Verdict => ({
  refusal: { status: 400, body: { status: 'ERROR', message, ...more } },
})
const unprocessable = (reason: string | JsonObject): Verdict => ({
  refusal: {
    status: 422,
    body: { status: 'ERROR', error: 'Request cannot be processed; see errors.', errors: [{ reason }] },
  },
})

/** A body of `POST /v2/import/push` or `/validate`. */
export const readPush = (text: string, isTransit: boolean, rules: StitchRules): Verdict => {
  let body: Json
  try {
    body = isTransit ? (toJson(decodeTransit(text)) as Json) : parseExact(text)
  } catch (e) {
    return pushError('Malformed json in the body!', { error: (e as Error).message, input: null })
  }
  if (!Array.isArray(body)) return pushError('An array of records is expected')
  if (body.length < 1 || body.length > rules.maxMessages) return pushError(wrongCount(rules))
  const out: StitchMessage[] = []
  const [head] = body
  const owner = rules.clientId === undefined ? clientOf(head) : BigInt(rules.clientId)
  for (const message of body) {
    if (!isObject(message)) return pushError('An array of records is expected')
    const client = clientOf(message)
    if (client === undefined)
      return { refusal: { status: 401, body: { status: 'ERROR', error: 'Not Authenticated.', errors: null } } }
    if (client !== owner) {
      const isMixed = body.some((m) => clientOf(m) === owner)
      return isMixed
        ? unprocessable(`The batch contains data points for multiple clients. Only client_id ${owner} is allowed`)
        : {
            refusal: {
              status: 403,
              body: {
                status: 'ERROR',
                error: 'Forbidden',
                errors: { error: 'Access token is not associated with this client.' },
              },
            },
          }
    }
    const read = pushMessage(message)
    if ('refusal' in read) return read
    out.push(read)
  }
  return { messages: out, schema: undefined }
}

const pushMessage = (message: JsonObject): StitchMessage | { readonly refusal: Refusal } => {
  const wrong = (reason: JsonObject) => unprocessable(reason) as { readonly refusal: Refusal }
  const { table_name: table, key_names: keys, data } = message
  if (typeof table !== 'string' || table === '') return wrong({ table_name: ["can't be blank"] })
  const sequence = wholeOf(message['sequence'])
  if (sequence === undefined) return wrong({ sequence: ['should be an integer', 'should be a number'] })
  const version = wholeOf(message['table_version'])
  if (message['action'] === 'switch_view')
    return { table, keys: [], action: 'activate_version', sequence, version, data: undefined, extracted: undefined }
  if (!Array.isArray(keys) || keys.length === 0)
    return wrong({
      key_names: ["can't be blank"],
      ...(message['key_properties'] === undefined ? {} : { key_properties: ['unknown key'] }),
    })
  if (data === undefined || !isObject(data)) return wrong({ data: ['data must be an object'] })
  for (const key of keys as readonly string[]) {
    const value = data[key]
    if (value === undefined) return wrong({ data: ['data must include keys'] })
    if (value === null) return wrong({ data: ['keys cannot not be null in data'] })
    if (typeof value === 'string' && value.length > maxKeyLength)
      return wrong({ data: [`String keys cannot be longer than ${maxKeyLength} characters`] })
  }
  return { table, keys: keys as readonly string[], action: 'upsert', sequence, version, data, extracted: undefined }
}
