import { MillraceError } from '../errors/error.ts'
import { httpError, type Side } from './failures.ts'
import type { QueryValue } from './types.ts'

/** Throws CONFIG_INVALID where the text is no http(s) URL, or holds a password that would be seen everywhere. */
export const baseUrlOf = (text: string): URL => {
  const problem = (why: string): MillraceError =>
    new MillraceError('CONFIG_INVALID', {
      what: 'base URL',
      problems: [why],
      fix: 'Write it as https://host/path; credentials have settings of their own.',
    })
  const url = URL.parse(text.trim())
  if (url === null) throw problem('it is not a URL')
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw problem(`it begins with ${url.protocol}, not with http: or https:`)
  if (url.username !== '' || url.password !== '') throw problem('it holds a user or password')
  return url
}

/**
 * A path appended to the base URL, or an absolute URL of the same origin. A link that differs only in saying http where the
 * base says https (a server behind a proxy does that) is taken as https. Throws *_REFUSED for any other origin.
 */
export const targetOf = (base: URL, path: string, side: Side): URL => {
  if (!/^[a-zA-Z][a-zA-Z0-9+.-]*:\/\//.test(path)) {
    const url = new URL(base)
    const [before = '', query] = splitOnce(path, '?')
    if (before !== '') url.pathname = `${base.pathname.replace(/\/$/, '')}/${before.replace(/^\//, '')}`
    if (query !== undefined) url.search = base.search === '' ? `?${query}` : `${base.search}&${query}`
    return url
  }
  const url = URL.parse(path)
  if (url?.protocol === 'http:' && base.protocol === 'https:' && url.hostname === base.hostname) {
    url.protocol = 'https:'
    url.port = base.port
  }
  if (url === null || url.origin !== base.origin)
    throw httpError({
      side,
      kind: 'refused',
      what: base.origin,
      why: `it links to another host${url === null ? '' : ` (${url.host})`}, and credentials are not sent there`,
      fix: 'Set the base URL to the host that serves all pages.',
    })
  return url
}

const splitOnce = (text: string, at: string): readonly [string, string | undefined] => {
  const i = text.indexOf(at)
  return i < 0 ? [text, undefined] : [text.slice(0, i), text.slice(i + 1)]
}

/** The URL with these parameters; one that is there already is replaced. */
export const withQuery = (url: URL, query: Readonly<Record<string, QueryValue>> | undefined): URL => {
  const entries = Object.entries(query ?? {}).filter(([, value]) => value !== undefined)
  if (entries.length === 0) return url
  const to = new URL(url)
  for (const [name, value] of entries) {
    to.searchParams.delete(name)
    for (const one of Array.isArray(value) ? value : [value]) to.searchParams.append(name, String(one))
  }
  return to
}
