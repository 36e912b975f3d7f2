/** Subscriptions: a stream that is pushed to somebody's URL. */
import { parsePosition, maxPositionText, positionDoc } from '../../http/position.ts'
import { flag, type Infer, object, orNull, type Schema, text, whole } from '../../http/schema.ts'
import type { SubscriptionChange } from '../../subscriptions/subscription-service.ts'
import type { SubscriptionView } from '../../subscriptions/types.ts'
import {
  actor,
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
} from '../api.ts'

const subscription = object({
  id: text(),
  streamId: text(),
  url: text(),
  maxRecords: whole(),
  maxTries: whole(),
  timeoutMs: whole(),
  deadLetters: orNull(text()),
  isPaused: flag(),
  createdBy: actor,
  createdAt: moment,
  position: { ...offsetNumber, description: 'the next record to be delivered' } as Schema<number>,
  tries: whole({ description: 'failed tries of what stands there' }),
  state: text({ description: 'how the last try went' }),
})
const show = (s: SubscriptionView): Infer<typeof subscription> => ({
  id: s.id,
  streamId: s.streamId,
  url: s.url,
  maxRecords: s.maxRecords,
  maxTries: s.maxTries,
  timeoutMs: s.timeoutMs,
  deadLetters: s.deadLetters ?? null,
  isPaused: s.isPaused,
  createdBy: { type: s.createdBy.type, id: s.createdBy.id },
  createdAt: iso(s.createdAt),
  position: Number(s.position),
  tries: s.tries,
  state: s.state,
})

const url = text({ minLength: 1, maxLength: 2000, description: 'https; asked by POST' })
const change = {
  maxRecords: whole({ minimum: 1, maximum: 1000, description: 'records of one push; 100 where it is left out' }),
  maxTries: whole({ minimum: 1, maximum: 50, description: 'before it is set aside; 12 where it is left out' }),
  timeoutMs: whole({ minimum: 1000, maximum: 60_000, description: 'for one push; 10,000 where it is left out' }),
  deadLetters: {
    ...orNull(text({ minLength: 1, maxLength: 200 })),
    description: 'the stream for what could not be delivered; without one the subscription is paused instead',
  } as Schema<string | null>,
  isPaused: flag({ description: 'false lets one that was paused go on' }),
}
const withSecret = object({
  subscription,
  secret: text({ description: 'signs pushes (standardwebhooks.com); shown this once' }),
})

/** The change without what was not said. */
const changeOf = (given: SubscriptionChange): SubscriptionChange => ({
  url: given.url,
  maxRecords: given.maxRecords,
  maxTries: given.maxTries,
  timeoutMs: given.timeoutMs,
  deadLetters: given.deadLetters,
  isPaused: given.isPaused,
})

export const addSubscriptions: AddRoutes = (app, { subscriptions }) => {
  const all = `${base}/streams/:stream/subscriptions`
  const one = `${all}/:subscription`
  const params = paramsOf('subscription', 'the id of a subscription')
  app.post(
    all,
    {
      schema: {
        ...doc('subscribe', 'subscriptions', 'Push records to a URL, signed, in order, as they come.'),
        description:
          'Each push is a POST of {"subscription","stream","records":[…],"next"}, with the records as reading has them, signed as standardwebhooks.com says. 2xx takes it. 400, 413, 415 and 422 refuse it: it comes again in halves, until the record at fault is found and set aside. 410 pauses the subscription. Anything else is tried again with growing waits.',
        params: streamParams,
        body: object(
          { url },
          {
            ...change,
            from: text({
              minLength: 1,
              maxLength: maxPositionText,
              description: `${positionDoc}; \`next\` where it is left out`,
            }),
          },
        ),
        response: answers(201, withSecret),
      },
    },
    async (request, reply) => {
      const { from, url: to } = request.body
      const made = await subscriptions.create(request.caller, request.params.stream, {
        ...changeOf(request.body),
        url: to,
        from: from === undefined ? undefined : parsePosition(from),
      })
      return await reply.code(201).send({ subscription: show(made.subscription), secret: made.secret })
    },
  )
  app.get(
    all,
    {
      schema: {
        ...doc('listSubscriptions', 'subscriptions', 'One’s own subscriptions of a stream; its owner sees all.'),
        params: streamParams,
        querystring: object({}, pageQuery),
        response: answers(200, pageOf(subscription)),
      },
    },
    async (request) => answerPage(await subscriptions.list(request.caller, request.params.stream, request.query), show),
  )
  app.get(
    one,
    {
      schema: {
        ...doc('getSubscription', 'subscriptions', 'A subscription: where it is, and how the last try went.'),
        params,
        response: answers(200, subscription),
      },
    },
    async (request) =>
      show(await subscriptions.get(request.caller, request.params.stream, request.params.subscription)),
  )
  app.patch(
    one,
    {
      schema: {
        ...doc('updateSubscription', 'subscriptions', 'Change a subscription, pause it, or let it go on.'),
        params,
        body: object({}, { url, ...change }),
        response: answers(200, subscription),
      },
    },
    async (request) =>
      show(
        await subscriptions.update(
          request.caller,
          request.params.stream,
          request.params.subscription,
          changeOf(request.body),
        ),
      ),
  )
  app.post(
    `${one}/rotate`,
    {
      schema: {
        ...doc('rotateSubscription', 'subscriptions', 'A new secret; pushes are signed with it and the one before.'),
        params,
        response: answers(200, withSecret),
      },
    },
    async (request) => {
      const made = await subscriptions.rotate(request.caller, request.params.stream, request.params.subscription)
      return { subscription: show(made.subscription), secret: made.secret }
    },
  )
  app.delete(
    one,
    {
      schema: {
        ...doc('unsubscribe', 'subscriptions', 'End a subscription.'),
        params,
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      await subscriptions.delete(request.caller, request.params.stream, request.params.subscription)
      return await reply.code(204).send(undefined)
    },
  )
}
