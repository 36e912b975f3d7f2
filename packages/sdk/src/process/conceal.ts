/** Keeps secrets that a program was given out of what it says: programs print their settings when they fail. */
import { isObject, type Json } from '../message/json.ts'

/** Names of settings and variables whose values are taken for secrets. */
export const soundsSecret: RegExp =
  /pass|pwd|secret|token|credential|auth|private|api_?key|access_?key|(^|_|[a-z](?=K))key$|dsn/i
/** Shorter values are too likely to be a part of something else. */
const minChars = 4

/**
 * The secret texts of some settings: those under a name that sounds like one. `isSecretText` says of a text, by its place
 * in the settings, whether it is one for another reason.
 */
export const secretTexts = (
  settings: Json | undefined,
  isSecretText: (path: readonly (string | number)[]) => boolean = () => false,
): readonly string[] => {
  const found = new Set<string>()
  const walk = (value: Json | undefined, isSecret: boolean, path: readonly (string | number)[]): void => {
    if (typeof value === 'string') {
      if (value.length >= minChars && (isSecret || isSecretText(path))) found.add(value)
    } else if (Array.isArray(value)) for (const [i, v] of value.entries()) walk(v as Json, isSecret, [...path, i])
    else if (isObject(value))
      for (const [k, v] of Object.entries(value)) walk(v, isSecret || soundsSecret.test(k), [...path, k])
  }
  walk(settings, false, [])
  return [...found]
}

/** A function that puts `***` for each secret, as it stands, in JSON or in an address. Longer ones first. */
export const concealing = (secrets: readonly string[]): ((text: string) => string) => {
  const forms = [...new Set(secrets)]
    .sort((a, b) => b.length - a.length)
    .flatMap((s) => [...new Set([s, JSON.stringify(s).slice(1, -1), encodeURIComponent(s.toWellFormed())])])
  if (forms.length === 0) return (text) => text
  return (text) => forms.reduce((left, form) => left.replaceAll(form, '***'), text)
}
