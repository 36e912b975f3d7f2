/** Streams, and who may use them. */
import type { FastifyRequest } from 'fastify'
import { isMillraceError, type Json, type JsonObject } from '@millrace/sdk'
import type { Permission } from '../../control/types.ts'
import type { Actor, Principal } from '../../domain/access.ts'
import type { StreamInfo } from '../../streams/types.ts'
import { type AddRoutes, bodyOf, invalid, paramsOf, type StreamDuo, textOf } from './context.ts'
import { flagOf } from './read-request.ts'

const typeOf = ({ type }: Actor): string => type.toUpperCase()

const permissionJson = ({ actor, displayName, isOwner, isProducer, isConsumer }: Permission): JsonObject => ({
  actorId: actor.id,
  actorDisplayName: displayName,
  actorType: typeOf(actor),
  isProducer: isOwner || isProducer,
  isConsumer: isOwner || isConsumer,
})

/** Who was granted what: all of it for an owner, what was granted to the one who asks for anybody else. */
const permissionsOf = async (
  { service }: StreamDuo,
  p: Principal,
  stream: StreamInfo,
): Promise<readonly JsonObject[]> => {
  try {
    return (await service.sharing.list(p, stream.id)).map(permissionJson)
  } catch (e) {
    if (!isMillraceError(e) || e.code !== 'ACCESS_DENIED') throw e
    const own = await service.sharing.own(p, stream.id)
    return own === undefined ? [] : [permissionJson(own)]
  }
}

/** A stream as StreamDuo shows it. */
const streamJson = async (duo: StreamDuo, p: Principal, stream: StreamInfo): Promise<Record<string, Json>> => ({
  streamId: stream.id,
  displayName: stream.displayName,
  activeSchemaId: stream.activeSchemaId ?? null,
  activeKeyId: stream.activeKeyId ?? null,
  streamActorPermissionRecords: await permissionsOf(duo, p, stream),
})

const actorType = (type: Json | undefined): Actor['type'] | undefined => {
  if (type === undefined || type === null) return undefined
  if (type === 'CLIENT' || type === 'USER') return type === 'CLIENT' ? 'client' : 'user'
  throw invalid('actorType must be CLIENT or USER')
}

export const addStreams: AddRoutes = (app, duo) => {
  const { service } = duo
  const show = async (request: FastifyRequest): Promise<Record<string, Json>> => {
    const stream = await service.streams.get(request.caller, paramsOf(request).stream)
    return await streamJson(duo, request.caller, stream)
  }

  app.post('/stream', async (request) => {
    const stream = await service.streams.create(request.caller, {
      displayName: textOf(bodyOf(request), 'displayName', 200),
    })
    return await streamJson(duo, request.caller, stream)
  })

  app.get('/stream/:stream', show)

  app.delete('/stream/:stream', async (request, reply) => {
    await service.streams.delete(request.caller, paramsOf(request).stream)
    return await reply.code(204).send()
  })

  app.post('/stream/:stream/permissions', async (request) => {
    const body = bodyOf(request)
    const name = textOf(body, 'actorDisplayName', 254)
    const to = actorType(body['actorType']) === 'user' ? { email: name } : { newClient: { displayName: name } }
    const rights = { isOwner: false, isProducer: flagOf(body['isProducer']), isConsumer: flagOf(body['isConsumer']) }
    const { actor, secret } = await service.sharing.grant(request.caller, paramsOf(request).stream, to, rights)
    const stream = await show(request)
    if (secret === undefined) return stream
    // The one moment at which the secret of a client that was made here can be shown.
    const records = stream['streamActorPermissionRecords'] as readonly JsonObject[]
    return {
      ...stream,
      streamActorPermissionRecords: records.map((r) =>
        r['actorId'] === actor.id ? { ...r, clientSecret: secret } : r,
      ),
    }
  })

  app.delete('/stream/:stream/permissions', async (request) => {
    const body = bodyOf(request)
    const id = textOf(body, 'actorId')
    const { stream } = paramsOf(request)
    const type = actorType(body['actorType'])
    // The first clients did not say what kind of actor it is.
    const revoke = async (kind: Actor['type']): Promise<void> =>
      await service.sharing.revoke(request.caller, stream, { type: kind, id })
    if (type !== undefined) await revoke(type)
    else
      await revoke('client').catch(async (e: unknown) => {
        if (!isMillraceError(e) || e.code !== 'ACTOR_UNKNOWN') throw e
        await revoke('user')
      })
    return await show(request)
  })
}
