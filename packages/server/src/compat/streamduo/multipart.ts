/** The one field of a form that a part of a file comes in (multipart/form-data, RFC 7578), as it lies in the body: nothing is copied. */
import { MillraceError } from '@millrace/sdk'

const maxHead = 16 * 1024
const lineEnd = Buffer.from('\r\n')
const headEnd = Buffer.from('\r\n\r\n')

const wrong = (problem: string): MillraceError =>
  new MillraceError('REQUEST_INVALID', {
    what: 'the form',
    problems: [problem],
    fix: 'Send the part as multipart/form-data, in a field called file.',
  })

/** The boundary that a content type names. Throws REQUEST_INVALID. */
export const boundaryOf = (contentType: string | undefined): string => {
  const m = /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))/i.exec(
    contentType ?? '',
  )
  const boundary = m?.[1] ?? m?.[2]
  if (boundary === undefined) throw wrong('it is no multipart/form-data with a boundary')
  return boundary
}

/** The bytes of the field `name`. Throws REQUEST_INVALID where there is none, or the form does not come to its end. */
export const formField = (body: Buffer, boundary: string, name: string): Buffer => {
  const mark = Buffer.from(`\r\n--${boundary}`, 'latin1')
  // The first one need not have a line before it.
  let at = body.indexOf(mark.subarray(2))
  if (at !== 0 && !(at >= 2 && body.subarray(at - 2, at).equals(lineEnd)))
    throw wrong('it does not begin with its boundary')
  at += mark.length - 2
  for (;;) {
    if (body.subarray(at, at + 2).equals(Buffer.from('--'))) throw wrong(`it has no field ${name}`)
    const end = body.indexOf(headEnd, at)
    if (end < 0 || end - at > maxHead) throw wrong('a field has no end of its head')
    const next = body.indexOf(mark, end + 2)
    if (next < 0) throw wrong('it was cut off')
    if (nameIn(body.toString('latin1', at, end)) === name) return body.subarray(end + headEnd.length, next)
    at = next + mark.length
  }
}

const nameIn = (head: string): string | undefined =>
  /^content-disposition\s*:\s*form-data\s*;(?:.*;)?\s*name=(?:"([^"]*)"|([^\s;"]+))/im
    .exec(head)
    ?.slice(1)
    .find((n) => n !== undefined)
