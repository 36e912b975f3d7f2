/** What hangs on a stream: schemas that records are checked against, and public keys that producers seal with. */
import type { StreamKey, StreamSchema } from '../../control/types.ts'
import { type Infer, listOf, object, oneOf, orNull, text } from '../../http/schema.ts'
import { type AddRoutes, answers, base, doc, iso, moment, nothing, paramsOf, streamParams } from '../api.ts'

const schema = object({
  id: text(),
  type: oneOf(['JSON', 'AVRO', 'GREAT_EXPECTATIONS']),
  text: text(),
  createdAt: moment,
})
const showSchema = (s: StreamSchema): Infer<typeof schema> => ({
  id: s.id,
  type: s.type,
  text: s.text,
  createdAt: iso(s.createdAt),
})
const key = object({
  id: text(),
  algorithm: text(),
  encoding: text(),
  value: text(),
  description: orNull(text()),
  createdAt: moment,
})
const showKey = (k: StreamKey): Infer<typeof key> => ({
  id: k.id,
  algorithm: k.algorithm,
  encoding: k.encoding,
  value: k.value,
  description: k.description ?? null,
  createdAt: iso(k.createdAt),
})
const active = object({ id: orNull(text({ minLength: 1, maxLength: 100 })) })

export const addParts: AddRoutes = (app, { service }) => {
  const one = `${base}/streams/:stream`
  const { parts } = service
  app.post(
    `${one}/schemas`,
    {
      schema: {
        ...doc('addSchema', 'schemas', 'Keep a schema; `active-schema` has records checked against it.'),
        params: streamParams,
        body: object({
          type: oneOf(['JSON', 'AVRO', 'GREAT_EXPECTATIONS']),
          text: text({ minLength: 1, maxLength: 1_000_000 }),
        }),
        response: answers(201, schema),
      },
    },
    async (request, reply) =>
      await reply
        .code(201)
        .send(showSchema(await parts.addSchema(request.caller, request.params.stream, request.body))),
  )
  app.get(
    `${one}/schemas`,
    {
      schema: {
        ...doc('listSchemas', 'schemas', 'The schemas of a stream.'),
        params: streamParams,
        response: answers(200, object({ items: listOf(schema) })),
      },
    },
    async (request) => ({ items: (await parts.schemas(request.caller, request.params.stream)).map(showSchema) }),
  )
  app.get(
    `${one}/schemas/:schema`,
    {
      schema: {
        ...doc('getSchema', 'schemas', 'A schema.'),
        params: paramsOf('schema', 'the id of a schema'),
        response: answers(200, schema),
      },
    },
    async (request) => showSchema(await parts.schema(request.caller, request.params.stream, request.params.schema)),
  )
  app.delete(
    `${one}/schemas/:schema`,
    {
      schema: {
        ...doc('deleteSchema', 'schemas', 'Delete a schema.'),
        params: paramsOf('schema', 'the id of a schema'),
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      await parts.deleteSchema(request.caller, request.params.stream, request.params.schema)
      return await reply.code(204).send(undefined)
    },
  )
  app.put(
    `${one}/active-schema`,
    {
      schema: {
        ...doc('activateSchema', 'schemas', 'Have records checked against a schema from now on; null: against none.'),
        params: streamParams,
        body: active,
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      await parts.activateSchema(request.caller, request.params.stream, request.body.id ?? undefined)
      return await reply.code(204).send(undefined)
    },
  )
  app.post(
    `${one}/keys`,
    {
      schema: {
        ...doc('addKey', 'keys', 'Keep a public key that producers seal records with.'),
        params: streamParams,
        body: object(
          {
            algorithm: text({ minLength: 1, maxLength: 100 }),
            encoding: text({ minLength: 1, maxLength: 100 }),
            value: text({ minLength: 1, maxLength: 10_000 }),
          },
          { description: text({ maxLength: 2000 }) },
        ),
        response: answers(201, key),
      },
    },
    async (request, reply) =>
      await reply.code(201).send(showKey(await parts.addKey(request.caller, request.params.stream, request.body))),
  )
  app.get(
    `${one}/keys`,
    {
      schema: {
        ...doc('listKeys', 'keys', 'The public keys of a stream.'),
        params: streamParams,
        response: answers(200, object({ items: listOf(key) })),
      },
    },
    async (request) => ({ items: (await parts.keys(request.caller, request.params.stream)).map(showKey) }),
  )
  app.get(
    `${one}/keys/:key`,
    {
      schema: {
        ...doc('getKey', 'keys', 'A public key.'),
        params: paramsOf('key', 'the id of a key'),
        response: answers(200, key),
      },
    },
    async (request) => showKey(await parts.key(request.caller, request.params.stream, request.params.key)),
  )
  app.put(
    `${one}/active-key`,
    {
      schema: {
        ...doc('activateKey', 'keys', 'The key that producers use from now on; null: none.'),
        params: streamParams,
        body: active,
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      await parts.activateKey(request.caller, request.params.stream, request.body.id ?? undefined)
      return await reply.code(204).send(undefined)
    },
  )
}
