import { isUtf8 } from 'node:buffer'
import { isMillraceError } from '../errors/error.ts'
import { maxDepth } from '../message/bytes.ts'
import type { Json } from '../message/json.ts'
import { RecordMessage } from '../message/record.ts'
import { httpError, type Side } from './failures.ts'
import type { Incoming } from './send.ts'
import type { HttpAnswer } from './types.ts'

export const answerOf = (
  incoming: Incoming,
  about: { readonly url: URL; readonly asked: string; readonly side: Side },
): HttpAnswer => {
  const { status, headers, bytes } = incoming
  return {
    status,
    headers,
    bytes,
    url: about.url,
    asked: about.asked,
    etag: headers['etag'],
    notModified: status === 304,
    json: () => parseBody(incoming, about.asked, about.side),
  }
}

const parseBody = ({ bytes, headers, status }: Incoming, asked: string, side: Side): Json => {
  const type = /^[\w.+-]+\/[\w.+-]+/.exec(headers['content-type'] ?? '')?.[0] ?? 'no content type'
  const malformed = (why: string, fix?: string): Error =>
    httpError({
      side,
      kind: 'malformed',
      what: asked,
      why: `the answer is not JSON (${status}, ${type}, ${bytes.length} bytes): ${why}`,
      fix:
        fix ??
        (type === 'text/html'
          ? 'It is a web page: check the base URL and the path; it may be a page to log in.'
          : 'Check the base URL and the path; nothing after the last state was lost.'),
    })
  const charset = /charset\s*=\s*"?([\w.:-]+)/i.exec(headers['content-type'] ?? '')?.[1]?.toLowerCase() ?? 'utf-8'
  let body = bytes
  if (charset !== 'utf-8' && charset !== 'utf8') {
    try {
      body = Buffer.from(new TextDecoder(charset, { fatal: true }).decode(bytes))
    } catch {
      throw malformed(`it is not ${charset}`)
    }
  } else if (!isUtf8(bytes)) throw malformed('it is not utf-8')
  const from = body.length >= 3 && body.readUIntBE(0, 3) === byteOrderMark ? 3 : 0
  try {
    // A record opens its bytes exactly, and slowly only where a number in them needs it.
    return new RecordMessage('', 0, { buffer: body, from, to: body.length }).record
  } catch (e) {
    if (
      body
        .subarray(from, from + 4096)
        .toString()
        .trim() === ''
    )
      throw malformed('it is empty')
    if (isMillraceError(e) && e.code === 'MESSAGE_TOO_DEEP')
      throw malformed(`it is nested deeper than ${maxDepth} levels`)
    throw malformed(isMillraceError(e) ? String(e.details['why']) : 'unexpected text')
  }
}

const byteOrderMark = 0xefbbbf
