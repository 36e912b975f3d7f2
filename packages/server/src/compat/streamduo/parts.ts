/** Schemas that records are checked against, and public keys that files are sealed with. */
import { generateKeyPairSync } from 'node:crypto'
import { encodeJson, isObject, type JsonObject } from '@millrace/sdk'
import { type SchemaType, schemaTypes, type StreamKey, type StreamSchema } from '../../control/types.ts'
import { type AddRoutes, bodyOf, invalid, optionalText, paramsOf, textOf } from './context.ts'

/** A schema: sent as an object, answered as a text. */
export const schemaJson = (s: StreamSchema): JsonObject => ({ schemaId: s.id, schema: s.text, schemaType: s.type })

/** A public key: `publicKey` when it is sent, `publicKeyValue` when it is answered. */
export const keyJson = (k: StreamKey): JsonObject => ({
  publicKeyId: k.id,
  publicKeyAlgorithm: k.algorithm,
  publicKeyVersion: null,
  publicKeyEncoding: k.encoding,
  publicKeyValue: k.value,
  publicKeyDescription: k.description ?? null,
})

const algorithm = 'CURVE25519'
const encoding = 'BASE64'

const keyKind = (body: JsonObject): void => {
  if ((optionalText(body, 'publicKeyAlgorithm') ?? algorithm) !== algorithm)
    throw invalid(`publicKeyAlgorithm must be ${algorithm}`)
  if ((optionalText(body, 'publicKeyEncoding') ?? encoding) !== encoding)
    throw invalid(`publicKeyEncoding must be ${encoding}`)
}

/** A Curve25519 key pair as libsodium has it: 32 bytes each, in Base64. */
const keyPair = (): { readonly publicKey: string; readonly privateKey: string } => {
  const { x = '', d = '' } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' })
  const plain = (text: string): string => Buffer.from(text, 'base64url').toString('base64')
  return { publicKey: plain(x), privateKey: plain(d) }
}

export const addParts: AddRoutes = (app, { service: { parts } }) => {
  for (const root of ['/stream/:stream', '/streams/:stream']) {
    app.post(`${root}/schemas`, async (request) => {
      const body = bodyOf(request)
      const { schema } = body
      const type = optionalText(body, 'schemaType') ?? 'JSON'
      if (!(schemaTypes as readonly string[]).includes(type))
        throw invalid(`schemaType must be one of ${schemaTypes.join(', ')}`)
      const text = typeof schema === 'string' ? schema : encodeJson(schema ?? null)
      if (typeof schema !== 'string' && !isObject(schema) && !Array.isArray(schema)) throw invalid('schema is missing')
      return schemaJson(
        await parts.addSchema(request.caller, paramsOf(request).stream, { type: type as SchemaType, text }),
      )
    })

    app.get(`${root}/schemas/:id`, async (request) => {
      const { stream, id } = paramsOf(request)
      return schemaJson(await parts.schema(request.caller, stream, id))
    })

    app.delete(`${root}/schemas/:id`, async (request, reply) => {
      const { stream, id } = paramsOf(request)
      await parts.deleteSchema(request.caller, stream, id)
      return await reply.code(204).send()
    })

    app.post(`${root}/schemas/active`, async (request) => {
      const id = textOf(bodyOf(request), 'schemaId')
      await parts.activateSchema(request.caller, paramsOf(request).stream, id)
      return { status: 'Success' }
    })

    app.post(`${root}/keys`, async (request) => {
      const body = bodyOf(request)
      keyKind(body)
      const value = textOf(body, 'publicKey')
      if (Buffer.from(value, 'base64').length !== 32 || !/^[A-Za-z0-9+/]{43}=$/.test(value))
        throw invalid('publicKey must be 32 bytes in Base64')
      const description = optionalText(body, 'publicKeyDescription', 1000)
      return keyJson(
        await parts.addKey(request.caller, paramsOf(request).stream, {
          algorithm,
          encoding,
          value,
          description,
        }),
      )
    })

    app.post(`${root}/keys/active`, async (request) => {
      const id = textOf(bodyOf(request), 'keyId')
      await parts.activateKey(request.caller, paramsOf(request).stream, id)
      return { status: 'Success' }
    })

    app.post(`${root}/keys/generate`, async (request) => {
      const body = bodyOf(request)
      keyKind(body)
      const description = optionalText(body, 'publicKeyDescription', 1000)
      const { publicKey: value, privateKey } = keyPair()
      const key = { algorithm, encoding, value, description }
      const added = await parts.addKey(request.caller, paramsOf(request).stream, key)
      // The private key is in this answer and nowhere else.
      return { privateKeyValue: privateKey, publicKey: keyJson(added) }
    })
  }
}
