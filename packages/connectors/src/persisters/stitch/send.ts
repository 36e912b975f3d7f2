/** One body to Stitch, and what it says to it. */
import { MillraceError } from '@millrace/sdk'
import type { HttpAnswer, HttpClient } from '@millrace/sdk/http'
import { wordsOf } from '../../http/words.ts'

/** Answers that refuse a body: their words are told. */
const refusals = [400, 401, 403, 404, 405, 413, 415, 422]
/** A good status with something else than JSON is somebody in between; it is asked again so often. */
const maxStrangeAnswers = 3

export interface SendOptions {
  readonly client: HttpClient
  readonly path: string
  readonly table: string
  readonly gzip: boolean
  readonly signal: AbortSignal
}

/** Resolves when Stitch has taken the body. `bytes`: its size, for errors. Throws DESTINATION_*; `details.status` has the status. */
export const sendBatch = async (body: Buffer, { client, path, table, gzip, signal }: SendOptions): Promise<void> => {
  const packed = gzip ? await pack(body) : body
  for (let tries = 1; ; tries++) {
    const answer = await client.request({
      method: 'POST',
      path,
      body: packed,
      // The same records with the same sequences: what was taken already changes nothing.
      idempotent: true,
      accept: refusals,
      signal,
      headers: { 'content-type': 'application/json', ...(gzip ? { 'content-encoding': 'gzip' } : {}) },
    })
    if (answer.status >= 400) throw refused(answer, table, body.length)
    if (isJson(answer)) return
    if (tries >= maxStrangeAnswers)
      throw new MillraceError('DESTINATION_UNAVAILABLE', {
        what: answer.asked,
        why: `it answers ${answer.status} with something else than JSON`,
        fix: 'Look whether the url is that of the Import API, and what stands between here and there.',
        status: answer.status,
      })
  }
}

const isJson = (answer: HttpAnswer): boolean => {
  try {
    answer.json()
    return true
  } catch {
    return false
  }
}

const refused = (answer: HttpAnswer, table: string, bytes: number): MillraceError => {
  const { status } = answer
  return new MillraceError('DESTINATION_REFUSED', {
    what: answer.asked,
    why: `${status} for a batch of ${table} (${bytes} bytes): ${wordsOf(answer) ?? 'no reason given'}`,
    fix: fixFor(status),
    status,
  })
}

const fixFor = (status: number): string => {
  switch (status) {
    case 401:
      return 'Check the token, and that the integration is not paused; each region has a url of its own.'
    case 403:
      return 'The token belongs to another client: take the client_id from the address of the account that made it.'
    case 404:
    case 405:
      return 'Check the url: https://api.stitchdata.com, or https://api.eu-central-1.stitchdata.com in Europe.'
    case 413:
      return 'Lower batchBytes, or leave the large field out by a map.'
    default:
      return 'A whole batch is refused for one bad record: mend it at its source, or filter it out by a map. With on-invalid: dead-letter the run finds and sets it aside.'
  }
}

const pack = async (body: Buffer): Promise<Buffer> => {
  const { gzip } = await import('node:zlib')
  return await new Promise((resolve, reject) => {
    gzip(body, { level: 1 }, (e, packed) => (e === null ? resolve(packed) : reject(e)))
  })
}
