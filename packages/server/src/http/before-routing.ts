/** Answers to what comes to no route: a path that cannot be read, a head that is too large, what is no HTTP at all. */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { MillraceError } from '@millrace/sdk'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { type Problem, problemOf, problemType, requestError } from './problem.ts'

const headers = {
  'content-type': problemType,
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
}

/** The path has no route since it cannot be read. */
export const answerBadPath = (e: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
  const problem = problemOf(requestError(e), {
    instance: request.id,
    ...(e.code === 'FST_ERR_MAX_PARAM_LENGTH' ? { status: 414 } : {}),
  })
  void reply.code(problem.status).headers(headers).send(JSON.stringify(problem))
}

const problemOfConnection = (
  code: string | undefined,
  limits: { readonly headBytes: number; readonly headMs: number },
): Problem => {
  if (code === 'HPE_HEADER_OVERFLOW') {
    const error = new MillraceError('REQUEST_TOO_LARGE', {
      what: 'the head of the request',
      maxBytes: limits.headBytes,
      fix: 'Send fewer headers, or shorter ones.',
    })
    return problemOf(error, { status: 431 })
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return problemOf(new MillraceError('REQUEST_TOO_SLOW', { seconds: limits.headMs / 1000 }))
  return problemOf(new MillraceError('REQUEST_INVALID', { problems: ['it is no HTTP that can be read'] }))
}

/** There is no request yet, only a connection; it ends with the answer. */
export const answerBadConnection =
  (limits: { readonly headBytes: number; readonly headMs: number }) =>
  (e: NodeJS.ErrnoException, socket: Socket): void => {
    if (e.code === 'ECONNRESET' || socket.destroyed) return
    if (socket.writable) {
      const problem = problemOfConnection(e.code, limits)
      const body = JSON.stringify(problem)
      const lines = Object.entries({ ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' })
      socket.write(
        `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\n${lines.map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n${body}`,
      )
    }
    socket.destroy(e)
  }
