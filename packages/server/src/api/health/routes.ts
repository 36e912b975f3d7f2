/** Whether the manager lives, whether it can work, and what it counts. */
import { MillraceError } from '@millrace/sdk'
import { object, oneOf, type Schema, text } from '../../http/schema.ts'
import { type AddRoutes, answers, doc } from '../api.ts'

/** `isReady` asks what the manager stands on; it rejects where that does not answer. */
export const addHealth =
  (isReady: () => Promise<void>): AddRoutes =>
  (app, { metrics }) => {
    const open = { config: { open: true } } as const
    app.get(
      '/health',
      {
        ...open,
        schema: {
          ...doc('getHealth', 'health', 'Whether the manager lives.'),
          security: [],
          response: answers(200, object({ status: oneOf(['ok']) })),
        },
      },
      async () => ({ status: 'ok' as const }),
    )
    app.get(
      '/ready',
      {
        ...open,
        schema: {
          ...doc('getReady', 'health', 'Whether the manager can work: its control plane and its log answer.'),
          security: [],
          response: answers(200, object({ status: oneOf(['ready']) })),
        },
      },
      async () => {
        try {
          await isReady()
        } catch (e) {
          throw new MillraceError(
            'MANAGER_UNAVAILABLE',
            { url: 'this address', why: 'it cannot work now' },
            { cause: e },
          )
        }
        return { status: 'ready' as const }
      },
    )
    app.get(
      '/metrics',
      {
        ...open,
        schema: {
          ...doc('getMetrics', 'health', 'Counters and gauges, for Prometheus.'),
          security: [],
          response: {
            200: { description: 'Text.', content: { 'text/plain': { schema: text() } } } as unknown as Schema<string>,
          },
        },
      },
      async (_request, reply) => await reply.type('text/plain; version=0.0.4; charset=utf-8').send(metrics.text()),
    )
    app.get(
      '/openapi.json',
      { ...open, schema: { hide: true } },
      async (_request, reply) => await reply.type('application/json; charset=utf-8').send(app.swagger()),
    )
  }
