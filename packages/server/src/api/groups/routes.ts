/** Groups: consumers that share the work of a stream. */
import type { DeadLetter, Group, Lease } from '../../control/types.ts'
import type { OffsetRange } from '../../domain/ranges.ts'
import { maxPositionText, parsePosition, positionDoc } from '../../http/position.ts'
import { type Infer, listOf, object, oneOf, text, whole } from '../../http/schema.ts'
import {
  type AddRoutes,
  answerPage,
  answers,
  base,
  doc,
  iso,
  moment,
  nothing,
  offsetNumber,
  pageOf,
  pageQuery,
  paramsOf,
  streamParams,
  written,
} from '../api.ts'
import { eventsForm, recordSchema, recordsJson } from '../records/shapes.ts'

const settings = {
  ackTimeoutMs: whole({
    minimum: 100,
    maximum: 86_400_000,
    description: 'how long a consumer has for what it claimed; 30,000 where it is left out',
  }),
  maxTries: whole({
    minimum: 1,
    maximum: 1000,
    description: 'after so many tries a record is a dead letter; 5 where it is left out',
  }),
}
const group = object({
  name: text(),
  settings: object(settings),
  createdAt: moment,
  cursor: offsetNumber,
  leased: whole(),
  returned: whole(),
  deadLetters: whole(),
})
const showGroup = (g: Group): Infer<typeof group> => ({
  name: g.name,
  settings: { ackTimeoutMs: g.settings.ackTimeoutMs, maxTries: g.settings.maxTries },
  createdAt: iso(g.createdAt),
  cursor: Number(g.cursor),
  leased: Number(g.leased),
  returned: Number(g.returned),
  deadLetters: Number(g.deadLetters),
})
const range = object({ first: offsetNumber, next: offsetNumber })
const lease = object({ id: text(), ranges: listOf(range), consumer: text(), until: moment, attempt: whole() })
const showLease = (l: Lease): Infer<typeof lease> => ({
  id: l.id,
  ranges: l.ranges.map(({ first, next }) => ({ first: Number(first), next: Number(next) })),
  consumer: l.consumer,
  until: iso(l.until),
  attempt: l.attempt,
})
const deadLetter = object({ offset: offsetNumber, tries: whole(), reason: text(), at: moment })
const showDeadLetter = (d: DeadLetter): Infer<typeof deadLetter> => ({
  offset: Number(d.offset),
  tries: d.tries,
  reason: d.reason,
  at: iso(d.at),
})
const ranges = listOf(range, { maxItems: 10_000, description: 'only these offsets of the lease' })
const rangesOf = (r: Infer<typeof ranges> | undefined): readonly OffsetRange[] | undefined =>
  r?.map(({ first, next }) => ({ first: BigInt(first), next: BigInt(next) }))
const leaseId = text({ minLength: 1, maxLength: 100, description: 'the id of a lease' })

export const addGroups: AddRoutes = (app, { service }) => {
  const all = `${base}/streams/:stream/groups`
  const one = `${all}/:group`
  const params = paramsOf('group', 'the name of a group')
  const { groups } = service
  app.post(
    all,
    {
      schema: {
        ...doc('createGroup', 'groups', 'Make a group; its consumers share the records.'),
        params: streamParams,
        body: object(
          { name: text({ minLength: 1, maxLength: 200 }) },
          {
            from: text({ minLength: 1, maxLength: maxPositionText, description: positionDoc }),
            settings: object({}, settings),
          },
        ),
        response: answers(201, group),
      },
    },
    async (request, reply) => {
      const { name, from, settings: given } = request.body
      const made = await groups.create(request.caller, request.params.stream, {
        name,
        from: from === undefined ? undefined : parsePosition(from),
        settings: given as Partial<Group['settings']> | undefined,
      })
      return await reply.code(201).send(showGroup(made))
    },
  )
  app.get(
    all,
    {
      schema: {
        ...doc('listGroups', 'groups', 'The groups of a stream.'),
        params: streamParams,
        querystring: object({}, pageQuery),
        response: answers(200, pageOf(group)),
      },
    },
    async (request) => answerPage(await groups.list(request.caller, request.params.stream, request.query), showGroup),
  )
  app.get(
    one,
    { schema: { ...doc('getGroup', 'groups', 'A group.'), params, response: answers(200, group) } },
    async (request) => showGroup(await groups.get(request.caller, request.params.stream, request.params.group)),
  )
  app.patch(
    one,
    {
      schema: {
        ...doc('updateGroup', 'groups', 'Change the settings of a group (an owner, or who made it).'),
        params,
        body: object({}, settings),
        response: answers(200, group),
      },
    },
    async (request) =>
      showGroup(
        await groups.update(
          request.caller,
          request.params.stream,
          request.params.group,
          request.body as Partial<Group['settings']>,
        ),
      ),
  )
  app.delete(
    one,
    {
      schema: {
        ...doc('deleteGroup', 'groups', 'Delete a group (an owner, or who made it).'),
        params,
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      await groups.delete(request.caller, request.params.stream, request.params.group)
      return await reply.code(204).send(undefined)
    },
  )
  app.post(
    `${one}/claim`,
    {
      schema: {
        ...doc(
          'claim',
          'groups',
          'Take records that nobody has, with a lease for each run of them; none: there is nothing to do now.',
        ),
        description:
          'With `Accept: text/event-stream` the answer is events as following a stream has them, and an `event: lease` before the records of each lease.',
        params,
        querystring: object({}, { form: oneOf(['record', 'body']) }),
        body: object(
          {},
          {
            consumer: text({ minLength: 1, maxLength: 200, description: 'which of one’s processes it is' }),
            limit: whole({ minimum: 1, maximum: 10_000, description: 'records at most; 100 where it is left out' }),
          },
        ),
        response: answers(200, written(object({ claimed: listOf(object({ lease, records: listOf(recordSchema) })) }))),
      },
    },
    async (request, reply) => {
      const { caller } = request
      const stream = await service.streams.get(caller, request.params.stream)
      const claimed = await groups.claim(caller, stream.id, request.params.group, {
        ...request.body,
        limit: request.body.limit ?? 100,
      })
      if (/\btext\/event-stream\b/i.test(request.headers.accept ?? '')) {
        const events = eventsForm(stream, service, request.query.form ?? 'record')
        return await reply
          .type('text/event-stream; charset=utf-8')
          .send(
            Buffer.concat(
              claimed.flatMap((c) => [
                Buffer.from(`event: lease\ndata: ${JSON.stringify(showLease(c.lease))}\n\n`),
                events.make(c.batches),
              ]),
            ),
          )
      }
      const parts = claimed.flatMap((c, i) => [
        Buffer.from(`${i === 0 ? '' : ','}{"lease":${JSON.stringify(showLease(c.lease))},"records":`),
        recordsJson(c.batches, stream, { service }),
        Buffer.from('}'),
      ])
      return await reply
        .type('application/json; charset=utf-8')
        .send(Buffer.concat([Buffer.from('{"claimed":['), ...parts, Buffer.from(']}')]))
    },
  )
  app.post(
    `${one}/ack`,
    {
      schema: {
        ...doc('ack', 'groups', 'Say that the records of a lease, or some of them, are done.'),
        params,
        body: object({ lease: leaseId }, { ranges }),
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      const { body } = request
      await groups.ack(request.caller, request.params.stream, request.params.group, body.lease, rangesOf(body.ranges))
      return await reply.code(204).send(undefined)
    },
  )
  app.post(
    `${one}/nack`,
    {
      schema: {
        ...doc(
          'nack',
          'groups',
          'Give records back, to be handed out again; after the last try they are dead letters.',
        ),
        params,
        body: object({ lease: leaseId }, { ranges, reason: text({ maxLength: 1000 }) }),
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      const { body } = request
      await groups.nack(request.caller, request.params.stream, request.params.group, {
        lease: body.lease,
        ranges: rangesOf(body.ranges),
        reason: body.reason ?? '',
      })
      return await reply.code(204).send(undefined)
    },
  )
  app.post(
    `${one}/extend`,
    {
      schema: {
        ...doc('extend', 'groups', 'More time for a lease.'),
        params,
        body: object({ lease: leaseId }),
        response: answers(200, lease),
      },
    },
    async (request) =>
      showLease(await groups.extend(request.caller, request.params.stream, request.params.group, request.body.lease)),
  )
  app.get(
    `${one}/dead-letters`,
    {
      schema: {
        ...doc('listDeadLetters', 'groups', 'Records that were tried too often.'),
        params,
        querystring: object({}, pageQuery),
        response: answers(200, pageOf(deadLetter)),
      },
    },
    async (request) =>
      answerPage(
        await groups.deadLetters(request.caller, request.params.stream, request.params.group, request.query),
        showDeadLetter,
      ),
  )
  for (const [verb, summary] of [
    ['retry', 'Have dead letters handed out again.'],
    ['drop', 'Put dead letters away for good (an owner, or who made the group).'],
  ] as const)
    app.post(
      `${one}/dead-letters/${verb}`,
      {
        schema: {
          ...doc(`${verb}DeadLetters`, 'groups', summary),
          params,
          body: object({ offsets: listOf(offsetNumber, { minItems: 1, maxItems: 10_000 }) }),
          response: answers(200, object({ changed: whole() })),
        },
      },
      async (request) => {
        const { stream, group: name } = request.params
        const offsets = request.body.offsets.map(BigInt)
        const changed =
          verb === 'retry'
            ? await groups.retryDeadLetters(request.caller, stream, name, offsets)
            : await groups.dropDeadLetters(request.caller, stream, name, offsets)
        return { changed }
      },
    )
}
