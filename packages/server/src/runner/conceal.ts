/** Keeps secrets that a program was given out of what it says: foreign programs print their settings when they fail. */
import { isObject, type Json } from '@millrace/sdk'
import type { PipelineEnd } from '../domain/pipeline.ts'
import type { ResolvedEnd } from '../project/references.ts'

/** Names of settings and variables whose values are taken for secrets. */
const soundsSecret = /pass|pwd|secret|token|credential|auth|private|api_?key|access_?key|(^|_|[a-z](?=K))key$|dsn/i
/** Shorter values are too likely to be a part of something else. */
const minChars = 4

/** The secret values of an end: texts under a name that sounds like one, or made from a variable that does. */
const secretsOf = (end: PipelineEnd, resolved: ResolvedEnd): readonly string[] => {
  const found = new Set<string>()
  const walk = (given: Json | undefined, value: Json | undefined, isSecret: boolean): void => {
    if (typeof value === 'string') {
      const variables = typeof given === 'string' ? [...given.matchAll(/\$\{(?:env:)?(\w+)/g)].map((m) => m[1]) : []
      if (value.length >= minChars && (isSecret || variables.some((v) => soundsSecret.test(v ?? '')))) found.add(value)
    } else if (Array.isArray(value))
      for (const [i, v] of value.entries())
        walk(Array.isArray(given) ? (given[i] as Json | undefined) : undefined, v as Json, isSecret)
    else if (isObject(value))
      for (const [k, v] of Object.entries(value))
        walk(isObject(given) ? given[k] : undefined, v, isSecret || soundsSecret.test(k))
  }
  walk(end.config, resolved.config, false)
  walk(end.env, resolved.env, false)
  return [...found].sort((a, b) => b.length - a.length)
}

/** A function that puts `***` for every secret of an end, as it stands, in JSON or in an address. */
export const concealer = (end: PipelineEnd, resolved: ResolvedEnd): ((text: string) => string) => {
  const forms = secretsOf(end, resolved).flatMap((s) => [
    ...new Set([s, JSON.stringify(s).slice(1, -1), encodeURIComponent(s.toWellFormed())]),
  ])
  if (forms.length === 0) return (text) => text
  return (text) => forms.reduce((left, form) => left.replaceAll(form, '***'), text)
}
