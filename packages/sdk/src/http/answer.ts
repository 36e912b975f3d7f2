import { isTooDeep, maxDepth } from '../message/bytes.ts'
import { type Json, parseExact } from '../message/json.ts'
import { jsonFault } from '../message/record.ts'
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
  if (isTooDeep(bytes, 0, bytes.length)) throw malformed(`it is nested deeper than ${maxDepth} levels`)
  const charset = /charset\s*=\s*"?([\w.:-]+)/i.exec(headers['content-type'] ?? '')?.[1] ?? 'utf-8'
  let text: string
  try {
    text = new TextDecoder(charset, { fatal: true }).decode(bytes)
  } catch {
    throw malformed(`it is not ${charset}`)
  }
  try {
    return parseExact(text)
  } catch (e) {
    throw malformed(text.trim() === '' ? 'it is empty' : jsonFault(e))
  }
}
