/** What a service says in the body of an answer that refuses something. */
import { isObject, type Json } from '@millrace/sdk'
import type { HttpAnswer } from '@millrace/sdk/http'

const maxWords = 500

/**
 * Its words, at most 500 characters on one line; undefined where it has none. Services use `error` and `message` for the same, `errors` is a
 * list or an object; `title` and `detail` are of RFC 9457. They may hold what was sent.
 */
export const wordsOf = (answer: HttpAnswer): string | undefined => {
  let body: Json
  try {
    body = answer.json()
  } catch {
    return oneLine(answer.bytes.toString('utf8', 0, maxWords))
  }
  if (!isObject(body)) return undefined
  const { error, message, title, detail, errors } = body
  const words = [error, message, title, detail, reasonOf(errors)].filter((w) => typeof w === 'string')
  return oneLine([...new Set(words)].join(' '))
}

const oneLine = (text: string): string | undefined => {
  const line = text.replaceAll(/\s+/g, ' ').trim().slice(0, maxWords)
  return line === '' ? undefined : line
}

const reasonOf = (errors: Json | undefined): string | undefined => {
  if (errors === undefined || errors === null) return undefined
  const parts = (Array.isArray(errors) ? errors : [errors]) as readonly Json[]
  return parts
    .map((part) => {
      const reason = isObject(part) ? (part['reason'] ?? part['error'] ?? part) : part
      return typeof reason === 'string' ? reason : JSON.stringify(reason)
    })
    .join('; ')
}
