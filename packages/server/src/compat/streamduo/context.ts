/** What the routes of StreamDuo are handed, and how they read a body. */
import { isObject, type Json, type JsonObject, MillraceError, parseExact } from '@millrace/sdk'
import type { FastifyRequest } from 'fastify'
import type { Http } from '../../http/server.ts'
import type { StreamService } from '../../streams/stream-service.ts'

export interface StreamDuo {
  readonly service: StreamService
}

/** Adds the routes of one resource; their paths begin behind the base URL. */
export type AddRoutes = (app: Http, duo: StreamDuo) => void

/** A path has its slash at the end or has it not: the server takes both. The parameters that paths have. */
export interface Params {
  readonly stream: string
  readonly id: string
  readonly part: string
}
export const paramsOf = (request: FastifyRequest): Params => request.params as Params

export const invalid = (problem: string): MillraceError =>
  new MillraceError('REQUEST_INVALID', {
    what: 'the body',
    problems: [problem],
    fix: 'Send what the SDK of StreamDuo sends: docs/reference/streamduo.md.',
  })

/** The body as a JSON object, its numbers with all their digits. Throws REQUEST_INVALID. */
export const bodyOf = (request: FastifyRequest): JsonObject => {
  let body: Json
  try {
    body = parseExact(String(request.body ?? ''))
  } catch {
    throw invalid('it is no JSON')
  }
  if (!isObject(body)) throw invalid('it is no JSON object')
  return body
}

/** A text of the body that must be there. Throws REQUEST_INVALID. */
export const textOf = (body: JsonObject, name: string, maxLength = 400): string => {
  const text = optionalText(body, name, maxLength)
  if (text === undefined) throw invalid(`${name} is missing`)
  return text
}

/** A text of the body; undefined where it is not there, null or empty. Throws REQUEST_INVALID where it is something else. */
export const optionalText = (body: JsonObject, name: string, maxLength = 400): string | undefined => {
  const text = body[name]
  if (text === undefined || text === null || text === '') return undefined
  if (typeof text !== 'string') throw invalid(`${name} is no text`)
  if (text.length > maxLength) throw invalid(`${name} has more than ${maxLength} characters`)
  return text
}
