/** Keeps secrets that a program was given out of what it says: foreign programs print their settings when they fail. */
import { concealing, isObject, type Json, secretTexts, soundsSecret } from '@millrace/sdk'
import type { PipelineEnd } from '../domain/pipeline.ts'
import type { ResolvedEnd } from '../project/references.ts'

/** The secret values of an end: texts under a name that sounds like one, or made from a variable that does. */
const secretsOf = (given: Json | undefined, resolved: Json | undefined): readonly string[] =>
  secretTexts(resolved, (path) => {
    const text = path.reduce<Json | undefined>(
      (at, key) => (Array.isArray(at) ? (at as readonly Json[])[key as number] : isObject(at) ? at[key] : undefined),
      given,
    )
    const variables = typeof text === 'string' ? [...text.matchAll(/\$\{(?:env:)?(\w+)/g)].map((m) => m[1]) : []
    return variables.some((v) => soundsSecret.test(v ?? ''))
  })

/** A function that puts `***` for every secret of an end, as it stands, in JSON or in an address. */
export const concealer = (end: PipelineEnd, resolved: ResolvedEnd): ((text: string) => string) =>
  concealing([...secretsOf(end.config, resolved.config), ...secretsOf(end.env, resolved.env)])
