import type { JsonSchema, Operation } from './openapi.ts'
import { typeText } from './schema-type.ts'

const notes = (schema: JsonSchema): string => {
  const {
    type,
    enum: words,
    minimum,
    maximum,
    maxLength,
    pattern,
    description,
  } = schema as {
    readonly type?: string
    readonly enum?: readonly string[]
    readonly minimum?: number
    readonly maximum?: number
    readonly maxLength?: number
    readonly pattern?: string
    readonly description?: string
  }
  const limits = [
    words === undefined ? undefined : words.map((w) => `\`${w}\``).join(', '),
    minimum === undefined ? undefined : `from ${minimum.toLocaleString('en-US')}`,
    maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? undefined : `to ${maximum.toLocaleString('en-US')}`,
    maxLength === undefined ? undefined : `at most ${maxLength.toLocaleString('en-US')} characters`,
    pattern === undefined ? undefined : `as \`${pattern.replaceAll('|', '\\|')}\``,
  ].filter((one) => one !== undefined)
  return [type === 'string' || type === undefined ? undefined : type, limits.join(' '), description]
    .filter((one) => one !== undefined && one !== '')
    .join('; ')
}

const rows = (where: string, schema: JsonSchema | undefined): readonly string[] => {
  const { properties = {}, required = [] } = (schema ?? {}) as {
    readonly properties?: Readonly<Record<string, JsonSchema>>
    readonly required?: readonly string[]
  }
  return Object.entries(properties).map(
    ([name, one]) => `| \`${name}\`${required.includes(name) ? ' *' : ''} | ${where} | ${notes(one)} |`,
  )
}

const section = (o: Operation): string => {
  const fields = [
    ...rows('path', o.params),
    ...rows('query', o.query),
    ...rows('header', o.headers),
    ...rows('body', o.body),
  ]
  const table = fields.length === 0 ? '' : `\n| name | in | |\n| --- | --- | --- |\n${fields.join('\n')}\n`
  const answer =
    o.answer === undefined || o.status === '204'
      ? ''
      : `\n\`\`\`ts\n${typeText(o.answer).replaceAll('readonly ', '')}\n\`\`\`\n`
  return `### ${o.method} ${o.path}

${o.summary}${o.isOpen ? ' Needs no token.' : ''}${o.description === undefined ? '' : `\n\n${o.description}`}
${table}
Answers ${o.status}${answer === '' ? '.' : ':'}
${answer}`
}

/** The page about the API. */
export const apiPage = (operations: readonly Operation[]): string => {
  const tags = [...new Set(operations.map((o) => o.tag))]
  const parts = tags.map(
    (tag) =>
      `## ${tag.charAt(0).toUpperCase()}${tag.slice(1)}\n\n${operations
        .filter((o) => o.tag === tag)
        .map(section)
        .join('\n')}`,
  )
  return `# The API of the manager

Made by \`npm run generate\` from the routes. A running manager serves the document at \`/openapi.json\`; here it is as
[openapi.json](openapi.json).

- Every request needs a token but those that say otherwise: \`Authorization: Bearer …\`. See [tokens](#tokens).
- \`{stream}\` is the name or the id of a stream. A stream on which one was granted nothing answers 404, as one that is not there.
- What did not work is a problem (RFC 9457, \`application/problem+json\`): \`code\` is a row of the [table of errors](errors.md), \`detail\`
  says what happened and \`fix\` what to do.
- Lists come in pages: \`next\` of one is \`after\` of the following.
- Names marked * are needed.

${parts.join('\n')}`
}
