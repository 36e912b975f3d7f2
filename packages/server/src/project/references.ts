// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of the project file look like templates
/**
 * References to the environment in the texts of a project file: `${NAME}`, `${env:NAME}`, and `${NAME:-other}` for when
 * it is unset or empty; `$${` stands for itself. They are resolved late, when a pipeline starts, and only in `config`,
 * `env` and the `mask_salt` of maps; a value is never put into a message.
 */
import { isObject, type Json, type JsonObject, MillraceError } from '@millrace/sdk'
import type { PipelineEnd } from '../domain/pipeline.ts'

/** The environment as it was given: real variables over those of `.env`. */
export type Environment = Readonly<Record<string, string | undefined>>

const reference = /\$\$\{|\$\{([^}]*)\}?/g
const inside = /^(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/

/** What is wrong with the references of a text, one line each; their values are not looked at. */
export const referenceProblems = (text: string): readonly string[] =>
  [...text.matchAll(reference)]
    .filter((m) => m[0] !== '$${' && (!m[0].endsWith('}') || !inside.test(m[1] ?? '')))
    .map((m) => `"${m[0]}" is not a reference: write \${NAME}, \${NAME:-other} or $\${ for the characters themselves`)

/** Whether a text has a reference. */
export const hasReference = (text: string): boolean => [...text.matchAll(reference)].some((m) => m[0] !== '$${')

/** A text with its references replaced. Names that are not set are added to `missing`. */
const resolveText = (text: string, env: Environment, missing: Set<string>): string =>
  text.replace(reference, (whole: string, body: string | undefined) => {
    if (whole === '$${') return '${'
    const m = inside.exec(body ?? '')
    if (m === null) return whole
    const [, name = '', other] = m
    const value = env[name]
    if (other !== undefined) return value === undefined || value === '' ? other : value
    if (value === undefined) missing.add(name)
    return value ?? ''
  })

const resolveValue = (value: Json, env: Environment, missing: Set<string>): Json => {
  if (typeof value === 'string') return resolveText(value, env, missing)
  if (Array.isArray(value)) return value.map((v: Json) => resolveValue(v, env, missing))
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolveValue(v, env, missing)]))
}

interface About {
  /** Whose references they are. */
  readonly what: string
  /** Where their values were looked for. */
  readonly places: string
}

const refuseMissing = (missing: ReadonlySet<string>, about: About): void => {
  if (missing.size === 0) return
  throw new MillraceError('CONFIG_INVALID', {
    what: about.what,
    problems: [...missing].map((name) => `the variable ${name} is not set (looked in ${about.places})`),
    fix: 'Set it in the environment or in the file .env beside millrace.yaml, or write ${NAME:-other} to go on without it.',
  })
}

/** The configuration and variables of an end with every reference replaced. */
export interface ResolvedEnd {
  readonly config: JsonObject | undefined
  readonly env: Readonly<Record<string, string>>
}

/**
 * Resolves the references of an end. Throws CONFIG_INVALID naming every variable that is not set; `what` says whose
 * they are, `places` where they were looked for.
 */
export const resolveEnd = (end: PipelineEnd, env: Environment, about: About): ResolvedEnd => {
  const missing = new Set<string>()
  const config = end.config === undefined ? undefined : (resolveValue(end.config, env, missing) as JsonObject)
  const variables = resolveValue(end.env, env, missing) as Record<string, string>
  refuseMissing(missing, about)
  return { config, env: variables }
}

/** Maps with the references of their salts resolved. Throws CONFIG_INVALID as {@link resolveEnd} does. */
export const resolveMaps = (maps: JsonObject, env: Environment, about: About): JsonObject => {
  const missing = new Set<string>()
  const salted = (rules: Json): Json =>
    isObject(rules) && typeof rules['mask_salt'] === 'string'
      ? { ...rules, mask_salt: resolveText(rules['mask_salt'], env, missing) }
      : rules
  const resolved = Object.fromEntries(Object.entries(maps).map(([name, rules]) => [name, salted(rules)]))
  refuseMissing(missing, about)
  return resolved
}
