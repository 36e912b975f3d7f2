/** Who may use a stream. */
import { MillraceError } from '@millrace/sdk'
import type { Permission } from '../../control/types.ts'
import { flag, type Infer, listOf, object, oneOf, orNull, text } from '../../http/schema.ts'
import type { Grantee } from '../../streams/types.ts'
import { actor, type AddRoutes, answers, base, doc, iso, moment, nothing, streamParams, streamRef } from '../api.ts'

const permission = object({
  actor,
  displayName: text(),
  isOwner: flag(),
  isProducer: flag(),
  isConsumer: flag(),
  grantedAt: moment,
})
const show = (p: Permission): Infer<typeof permission> => ({
  actor: { type: p.actor.type, id: p.actor.id },
  displayName: p.displayName,
  isOwner: p.isOwner,
  isProducer: p.isProducer,
  isConsumer: p.isConsumer,
  grantedAt: iso(p.grantedAt),
})

const grant = object(
  {},
  {
    actor,
    email: text({
      minLength: 3,
      maxLength: 254,
      pattern: '^[^@\\s]+@[^@\\s]+$',
      description: 'a user, made where there is none',
    }),
    newClient: object(
      { displayName: text({ minLength: 1, maxLength: 200 }) },
      { description: text({ maxLength: 2000 }) },
    ),
    isOwner: flag(),
    isProducer: flag(),
    isConsumer: flag(),
  },
)
const granteeOf = ({ actor: who, email, newClient }: Infer<typeof grant>): Grantee => {
  const given = [who, email, newClient].filter((one) => one !== undefined)
  if (given.length !== 1)
    throw new MillraceError('REQUEST_INVALID', { what: 'body', problems: ['say one of actor, email and newClient'] })
  if (who !== undefined) return { actor: who }
  if (email !== undefined) return { email }
  return { newClient: newClient as NonNullable<typeof newClient> }
}

export const addSharing: AddRoutes = (app, { service }) => {
  const all = `${base}/streams/:stream/permissions`
  app.get(
    all,
    {
      schema: {
        ...doc('listPermissions', 'access', 'Who may use a stream.'),
        params: streamParams,
        response: answers(200, object({ items: listOf(permission) })),
      },
    },
    async (request) => ({ items: (await service.sharing.list(request.caller, request.params.stream)).map(show) }),
  )
  app.post(
    all,
    {
      schema: {
        ...doc(
          'grant',
          'access',
          'Grant exactly these rights to a client, a user, or a client made for it, whose secret is shown this once.',
        ),
        params: streamParams,
        body: grant,
        response: answers(200, object({ actor, secret: orNull(text()) })),
      },
    },
    async (request) => {
      const { isOwner = false, isProducer = false, isConsumer = false } = request.body
      const rights = { isOwner, isProducer, isConsumer }
      const granted = await service.sharing.grant(
        request.caller,
        request.params.stream,
        granteeOf(request.body),
        rights,
      )
      return { actor: { type: granted.actor.type, id: granted.actor.id }, secret: granted.secret ?? null }
    },
  )
  app.delete(
    `${all}/:type/:id`,
    {
      schema: {
        ...doc('revoke', 'access', 'Take all rights away.'),
        params: object({
          stream: streamRef,
          type: oneOf(['client', 'user']),
          id: text({ minLength: 1, maxLength: 100 }),
        }),
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      const { stream, type, id } = request.params
      await service.sharing.revoke(request.caller, stream, { type, id })
      return await reply.code(204).send(undefined)
    },
  )
}
