/** Who sends to the Import API, and which stream it is for. */
import { isMillraceError } from '@millrace/sdk'
import { type Refusal, notAuthorized } from '@millrace/sdk/stitch'
import type { Principal } from '../../domain/access.ts'
import { isUuid } from '../../domain/ids.ts'
import type { Tokens } from '../../http/tokens.ts'
import type { Logins } from '../../streams/logins.ts'
import type { StreamService } from '../../streams/stream-service.ts'
import type { StreamInfo } from '../../streams/types.ts'

export interface Holders {
  readonly service: StreamService
  readonly logins: Pick<Logins, 'client'>
  readonly tokens: Pick<Tokens, 'verify'>
}

/**
 * Who shows a token. Clients of the Import API have one that does not end: `CLIENT_ID.SECRET`. An access token of the API is as good.
 * Answers the refusal where it is neither.
 */
export const holderOf = async (
  { logins, tokens }: Holders,
  token: string | undefined,
): Promise<Principal | Refusal> => {
  if (token === undefined) return notAuthorized
  const dot = token.indexOf('.')
  const id = token.slice(0, Math.max(dot, 0))
  if (isUuid(id)) {
    const client = await logins.client(id, token.slice(dot + 1))
    return client === undefined
      ? notAuthorized
      : { type: 'client', id: client.id, scopes: ['records:write'], isAdministrator: false }
  }
  try {
    return (await tokens.verify(token)).principal
  } catch (e) {
    if (isMillraceError(e) && e.code === 'TOKEN_INVALID') return notAuthorized
    throw e
  }
}

export const forbidden = (why: string): Refusal => ({
  status: 403,
  body: { status: 'ERROR', error: 'Forbidden', errors: { error: why } },
})

/** The stream that a path names, else the only one that the holder may write to. Answers the refusal where that is not one. */
export const streamFor = async (
  { service }: Holders,
  p: Principal,
  named: string | undefined,
): Promise<StreamInfo | Refusal> => {
  if (named !== undefined) return await service.streams.get(p, named)
  const found: StreamInfo[] = []
  for (let after: string | undefined; ; ) {
    const page = await service.streams.list(p, { after, limit: 1000 })
    for (const stream of page.items) if (stream.rights?.isOwner || stream.rights?.isProducer) found.push(stream)
    after = page.next
    if (after === undefined || found.length > 1) break
  }
  const [only, another] = found
  if (only === undefined) return forbidden('Access token is not associated with a stream that it may write to.')
  if (another === undefined) return only
  return forbidden(
    'Access token may write to several streams: name one before the path, as /stitch/NAME/v2/import/batch.',
  )
}
