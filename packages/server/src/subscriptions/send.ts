/** One push: a request to a subscriber, with nothing of the answer but its status. */
import { type LookupFunction, isIP } from 'node:net'
import { lookup } from 'node:dns'
import { request as requestHttp, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { systemCode } from '@millrace/sdk'
import { type Attempt, attemptOf } from '../domain/delivery.ts'
import { isPublicAddress } from './address.ts'

export interface Push {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  readonly timeoutMs: number
  /** Also to addresses that are not of the public internet. */
  readonly mayBePrivate: boolean
  readonly signal: AbortSignal
}

/** An answer longer than this is not read to its end. */
const maxAnswerBytes = 64 * 1024

/** Looks a name up, and lets only through what may be reached: what was looked up is what is connected to. */
const publicLookup: LookupFunction = (hostname, options, done) => {
  lookup(hostname, { ...options, all: true }, (e, addresses) => {
    if (e !== null) return done(e, '', 0)
    const good = addresses.filter(({ address }) => isPublicAddress(address))
    const [first] = good
    if (first === undefined) return done(notPublic(hostname), '', 0)
    if (options.all === true) return done(null, good)
    done(null, first.address, first.family)
  })
}

/** A host that may not be reached. */
class NotPublic extends Error {}

const notPublic = (host: string): Error => new NotPublic(`${host} is no address of the public internet`)

/** Throws nothing but the signal's reason: whatever happens is what the try came to. */
export const push = async (p: Push): Promise<Attempt> => {
  p.signal.throwIfAborted()
  const host = p.url.hostname.replace(/^\[|\]$/g, '')
  if (!p.mayBePrivate && isIP(host) !== 0 && !isPublicAddress(host)) return unreachable(notPublic(host))
  try {
    const { statusCode = 0, headers } = await answerOf(p)
    return attemptOf(statusCode, waitOf(headers['retry-after']))
  } catch (e) {
    p.signal.throwIfAborted()
    return unreachable(e)
  }
}

const unreachable = (e: unknown): Attempt => ({
  is: 'unavailable',
  why: e instanceof NotPublic ? e.message : `no answer (${systemCode(e) ?? (e as Error).name})`,
  waitMs: undefined,
})

const answerOf = async (p: Push): Promise<IncomingMessage> =>
  await new Promise((resolve, reject) => {
    const request = (p.url.protocol === 'https:' ? requestHttps : requestHttp)(p.url, {
      method: 'POST',
      headers: { ...p.headers, 'content-length': p.body.length },
      // A connection of its own: none is kept that was checked for another time.
      agent: false,
      signal: AbortSignal.any([p.signal, AbortSignal.timeout(p.timeoutMs)]),
      ...(p.mayBePrivate ? {} : { lookup: publicLookup }),
    })
    request.on('error', reject)
    request.on('response', (answer) => {
      let bytes = 0
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        // What it says beyond its status is not read.
        if (bytes > maxAnswerBytes) answer.destroy()
      })
      answer.on('error', () => resolve(answer))
      answer.on('close', () => resolve(answer))
    })
    request.end(p.body)
  })

/** Retry-After in seconds. As a date it is left alone: clocks differ. */
const waitOf = (header: string | undefined): number | undefined =>
  header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined
