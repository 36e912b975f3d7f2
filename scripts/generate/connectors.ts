import { builtInPersisters, builtInStreamers } from '@millrace/connectors'
import type { ConfigSpec, Field, Persister, Streamer } from '@millrace/sdk'
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

const streamerSection = (streamer: Streamer): string =>
  [
    `## ${streamer.name}`,
    sentence(streamer.doc),
    settings(streamer.config),
    `\`\`\`sh\nmillrace streamer ${streamer.name} --help\nmillrace streamer ${streamer.name} discover > catalog.json\n\`\`\``,
  ].join('\n\n')

const persisterSection = (persister: Persister): string =>
  [
    `## ${persister.name}`,
    sentence(persister.doc),
    settings(persister.config),
    table(
      ['rows with the same key replace each other', 'numbers digit for digit', 'other versions are removed'],
      [[yes(persister.supports.upsert), yes(persister.supports.exactNumbers), yes(persister.supports.versions)]],
    ),
    `\`\`\`sh\nmillrace persister ${persister.name} --help\n\`\`\``,
  ].join('\n\n')

const intro = (kind: string, prefix: string): string =>
  `A setting is given as a flag (\`--page-size 100\`), in a configuration file (\`--config FILE\`, one JSON object), in \`millrace.yaml\`, or by the
environment as \`${prefix}_NAME_KEY\` (\`${prefix}_${kind === 'streamer' ? 'GIT' : 'SQLITE'}_PATH\`). Where several give it, the flag wins, then the environment, then the file.`

/** The reference of every streamer and persister, from the declaration of its settings. */
export const files = async (): Promise<Readonly<Record<string, string>>> => {
  const streamers = builtInStreamers()
  const persisters = builtInPersisters()
  const all = <T>(registry: { names(): readonly string[]; get(name: string): Promise<T> }): Promise<readonly T[]> =>
    Promise.all(registry.names().map((name) => registry.get(name)))
  return {
    'docs/reference/streamers.md': `${[
      '# Streamers',
      'What takes data out of a source, and the settings of each.',
      generatedNote('the declarations in packages/connectors/src/streamers'),
      intro('streamer', 'TAP'),
      ...(await all(streamers)).map(streamerSection),
    ].join('\n\n')}\n`,
    'docs/reference/persisters.md': `${[
      '# Persisters',
      'What puts data into a destination, and the settings of each.',
      generatedNote('the declarations in packages/connectors/src/persisters'),
      intro('persister', 'TARGET'),
      ...(await all(persisters)).map(persisterSection),
    ].join('\n\n')}\n`,
  }
}
