import { builtInPersisters, builtInStreamers } from '@millrace/connectors'
import {
  type ConfigSpec,
  type Field,
  type Persister,
  resolveConfig,
  type Streamer,
  type Substream,
  silentLogger,
} from '@millrace/sdk'
import { generatedNote, table } from './parts/markdown.ts'

const sentence = (doc: string): string =>
  `${doc.charAt(0).toUpperCase()}${doc.slice(1)}${/[.!?]$/.test(doc) ? '' : '.'}`

/** One setting as a row: what it is called, what it takes, what it is when nobody says. */
const settingRow = ([key, field]: [string, Field<unknown>]): readonly string[] => [
  `\`${key}\`${field.required ? ' (required)' : ''}${field.secret === true ? ' (secret)' : ''}`,
  [sentence(field.doc), ...(field.example === undefined ? [] : [`Example: \`${field.example}\`.`])].join(' '),
  field.accepts,
  field.default === undefined ? '' : `\`${JSON.stringify(field.default)}\``,
  [
    ...(field.env ?? []).map((name) => `\`${name}\``),
    ...(field.aliases ?? []).map((name) => `\`${name}\` in a file`),
  ].join(', '),
]

const settings = (spec: ConfigSpec): string => {
  const rows = Object.entries(spec).map(settingRow)
  return rows.length === 0
    ? 'It has no settings.'
    : table(['setting', 'meaning', 'accepts', 'default', 'also as'], rows)
}

const yes = (is: boolean): string => (is ? 'yes' : 'no')

const code = (text: string): string => `\`${text}\``
const json = (value: unknown): string => `\`\`\`json\n${JSON.stringify(value, null, 2)}\n\`\`\``
const more = (page: string | undefined): readonly string[] =>
  page === undefined ? [] : [`What it does in detail: [${page.replace(/\.md$/, '')}](../${page}).`]

/** The type of a field in a word or two: `text or null`, `list of objects`. */
const typeOf = (schema: unknown): string => {
  const { type, format, items, anyOf } = schema as Readonly<Record<string, unknown>>
  if (Array.isArray(anyOf)) return anyOf.map(typeOf).join(' or ')
  const types = (Array.isArray(type) ? type : type === undefined ? ['anything'] : [type]) as readonly string[]
  const said = types
    .filter((t) => t !== 'null')
    .map((t) => (t === 'string' && format !== undefined ? String(format) : t))
  const list = said.map((t) => (t === 'array' && items !== undefined ? `array of ${typeOf(items)}` : t))
  return [...list, ...(types.includes('null') ? ['null'] : [])].join(' or ')
}

/** A substream with its keys, its replication and its fields. */
const substreamSection = (substream: Substream): string => {
  const { name, keyProperties, replicationMethod, replicationKey, versioned, schema } = substream
  const method = replicationMethod ?? (replicationKey === undefined ? 'FULL_TABLE' : 'INCREMENTAL')
  const fields = Object.entries((schema['properties'] ?? {}) as Readonly<Record<string, unknown>>)
  return [
    `### ${name}`,
    [
      `Keys: ${keyProperties.map(code).join(', ') || 'none'}.`,
      `Replication: ${code(method)}${replicationKey === undefined ? '' : ` by ${code(replicationKey)}`}.`,
      ...(versioned === true ? ['Each full run is a version: rows that are gone are removed.'] : []),
    ].join(' '),
    table(
      ['field', 'type'],
      fields.map(([field, type]) => [code(field), typeOf(type)]),
    ),
  ].join('\n\n')
}

/** The substreams that a streamer has whatever its source holds. */
const knownSubstreams = async (streamer: Streamer): Promise<readonly Substream[]> => {
  const given = streamer.reference?.settings
  if (given === undefined) return []
  const { config } = resolveConfig(streamer.config, { kind: 'streamer', name: streamer.name, env: {}, file: given })
  return await streamer.substreams({ config, log: silentLogger, signal: new AbortController().signal })
}

const streamerPage = async (streamer: Streamer): Promise<string> => {
  const { reference } = streamer
  const substreams = await knownSubstreams(streamer)
  return `${[
    `# Streamer \`${streamer.name}\``,
    sentence(streamer.doc),
    generatedNote(`its declaration in packages/connectors/src/streamers/${streamer.name}`),
    ...more(reference?.page),
    '## Settings',
    settings(streamer.config),
    '## Substreams',
    ...(reference?.substreams === undefined ? [] : [sentence(reference.substreams)]),
    ...substreams.map(substreamSection),
    `\`\`\`sh\nmillrace streamer ${streamer.name} --help\nmillrace streamer ${streamer.name} discover > catalog.json\n\`\`\``,
    '## State',
    ...(reference?.state === undefined
      ? ['It keeps none: each run reads everything.']
      : [sentence(reference.state.doc), json(reference.state.example)]),
  ].join('\n\n')}\n`
}

const persisterPage = (persister: Persister): string =>
  `${[
    `# Persister \`${persister.name}\``,
    sentence(persister.doc),
    generatedNote(`its declaration in packages/connectors/src/persisters/${persister.name}`),
    ...more(persister.reference?.page),
    '## Settings',
    settings(persister.config),
    '## What it can do',
    table(
      ['rows with the same key replace each other', 'numbers digit for digit', 'other versions are removed'],
      [[yes(persister.supports.upsert), yes(persister.supports.exactNumbers), yes(persister.supports.versions)]],
    ),
    `\`\`\`sh\nmillrace persister ${persister.name} --help\n\`\`\``,
    '## State',
    `It prints the streamer's states as they came, each when everything before it is durable ([promises](../../promises.md)).`,
  ].join('\n\n')}\n`

const intro = (kind: string, prefix: string): string =>
  `A setting is given as a flag (\`--page-size 100\`), in a configuration file (\`--config FILE\`, one JSON object), in \`millrace.yaml\`, or by the
environment as \`${prefix}_NAME_KEY\` (\`${prefix}_${kind === 'streamer' ? 'GIT' : 'SQLITE'}_PATH\`). Where several give it, the flag wins, then the environment, then the file.`

const index = (kind: 'streamer' | 'persister', all: readonly (Streamer | Persister)[]): string =>
  table(
    [kind, kind === 'streamer' ? 'takes' : 'fills'],
    all.map((one) => [`[${one.name}](${kind}s/${one.name}.md)`, sentence(one.doc)]),
  )

const all = <T>(registry: { names(): readonly string[]; get(name: string): Promise<T> }): Promise<readonly T[]> =>
  Promise.all(registry.names().map((name) => registry.get(name)))

/** The reference of every streamer and persister, a page each, from its declaration. */
export const files = async (): Promise<Readonly<Record<string, string>>> => {
  const streamers = await all(builtInStreamers())
  const persisters = await all(builtInPersisters())
  const pages = [
    ...(await Promise.all(
      streamers.map(async (s) => [`docs/reference/streamers/${s.name}.md`, await streamerPage(s)]),
    )),
    ...persisters.map((p) => [`docs/reference/persisters/${p.name}.md`, persisterPage(p)]),
  ]
  return {
    'docs/reference/streamers.md': `${[
      '# Streamers',
      'What takes data out of a source, and the settings of each.',
      generatedNote('the declarations in packages/connectors/src/streamers'),
      index('streamer', streamers),
      intro('streamer', 'TAP'),
    ].join('\n\n')}\n`,
    'docs/reference/persisters.md': `${[
      '# Persisters',
      'What puts data into a destination, and the settings of each.',
      generatedNote('the declarations in packages/connectors/src/persisters'),
      index('persister', persisters),
      intro('persister', 'TARGET'),
    ].join('\n\n')}\n`,
    ...Object.fromEntries(pages),
  }
}
