/** Errors as problem details (RFC 9457). The table of errors says the status of each code; no other table does. */
import { errorTable, isMillraceError, MillraceError } from '@millrace/sdk'
import { limits } from './limits.ts'

export const problemType = 'application/problem+json'

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: string
  readonly fix: string
  readonly retry: string
  readonly [more: string]: unknown
}

/** What Fastify throws for a request that it cannot read, in our words. */
const ofFastify: Readonly<Record<string, (e: { readonly message: string }) => MillraceError>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: (e) =>
    new MillraceError('MEDIA_TYPE_UNSUPPORTED', { given: /: (\S+)$/.exec(e.message)?.[1] }),
  FST_ERR_CTP_BODY_TOO_LARGE: () => new MillraceError('REQUEST_TOO_LARGE', { maxBytes: limits.bodyBytes }),
  FST_ERR_CTP_EMPTY_JSON_BODY: () => new MillraceError('REQUEST_INVALID', { problems: ['the body is empty'] }),
  FST_ERR_CTP_INVALID_JSON_BODY: () => new MillraceError('REQUEST_INVALID', { problems: ['the body is no JSON'] }),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    new MillraceError('REQUEST_INVALID', { problems: ['the body has another length than was said'] }),
  FST_ERR_BAD_URL: () => new MillraceError('REQUEST_INVALID', { problems: ['the path cannot be read'] }),
  FST_ERR_MAX_PARAM_LENGTH: () =>
    new MillraceError('REQUEST_INVALID', { problems: ['a part of the path is too long'] }),
}

interface Violation {
  readonly instancePath: string
  readonly keyword: string
  readonly message?: string
  readonly params: Readonly<Record<string, unknown>>
}

const violationText = ({ instancePath, keyword, message, params }: Violation): string => {
  const at = instancePath.slice(1).replaceAll('/', '.')
  if (keyword === 'additionalProperties')
    return `${at === '' ? '' : `${at}: `}"${String(params['additionalProperty']).slice(0, 100)}" is not known`
  if (keyword === 'enum') return `${at} must be one of ${(params['allowedValues'] as readonly unknown[]).join(', ')}`
  return `${at === '' ? '' : `${at} `}${message ?? 'is wrong'}`
}

/** Puts whatever a handler threw into our shape; what is foreign becomes INTERNAL. */
export const requestError = (e: unknown): MillraceError => {
  if (isMillraceError(e)) return e
  const { code, validation, validationContext, statusCode } = e as {
    readonly code?: string
    readonly validation?: readonly Violation[]
    readonly validationContext?: string
    readonly statusCode?: number
  }
  if (validation !== undefined)
    return new MillraceError(
      'REQUEST_INVALID',
      { what: validationContext, problems: validation.map(violationText) },
      { cause: e },
    )
  const known = ofFastify[code ?? '']
  if (known !== undefined && e instanceof Error) return known(e)
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new MillraceError('REQUEST_INVALID', { problems: [(e as Error).message] }, { cause: e })
  return new MillraceError('INTERNAL', { why: e instanceof Error ? e.message : String(e) }, { cause: e })
}

/**
 * What is answered. Of a mistake of ours or of the machine nothing but its code is told: where files lie and what a database
 * says is for the log.
 */
export const problemOf = (error: MillraceError, more: Readonly<Record<string, unknown>> = {}): Problem => {
  const { http } = errorTable[error.code]
  const isPrivate = http >= 500 && error.code !== 'LOG_FULL' && error.code !== 'INTERRUPTED'
  const title = error.code.toLowerCase().replaceAll('_', ' ')
  return {
    type: `urn:millrace:error:${error.code}`,
    title,
    status: http,
    detail: isPrivate ? 'the manager could not do it; its log says why' : error.message,
    code: error.code,
    fix: isPrivate ? 'Try again; if it stays, ask whoever runs the manager.' : error.fix,
    retry: error.retry,
    ...more,
  }
}

const additions = new WeakMap<object, Readonly<Record<string, unknown>>>()

/** Has an error tell more than the others: what of a long request is done. */
export const addToProblem = (error: MillraceError, more: Readonly<Record<string, unknown>>): MillraceError => {
  additions.set(error, more)
  return error
}

export const additionsOf = (e: unknown): Readonly<Record<string, unknown>> =>
  (typeof e === 'object' && e !== null ? additions.get(e) : undefined) ?? {}
