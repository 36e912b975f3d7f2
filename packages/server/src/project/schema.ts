// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of the project file look like templates
import type { JsonObject } from '@millrace/sdk'

/** What the schema says of a connector: its settings come from its declaration. */
export interface ConnectorSchema {
  readonly name: string
  readonly doc: string
  /** `configJsonSchema(connector.config)` */
  readonly config: JsonObject
}

const fields: JsonObject = { type: 'array', items: { type: 'string' } }
const variables: JsonObject = {
  type: 'object',
  additionalProperties: { type: ['string', 'number', 'boolean'] },
  description: 'Variables for the program. ${NAME} takes a value of the environment or of .env.',
}
const exec: JsonObject = {
  oneOf: [
    {
      type: 'array',
      minItems: 1,
      items: { type: ['string', 'number'] },
      description: 'Program and arguments; gets --config, --state and --catalog.',
    },
    {
      type: 'string',
      minLength: 1,
      description: 'A command for /bin/sh; finds its files in MILLRACE_CONFIG, MILLRACE_STATE and MILLRACE_CATALOG.',
    },
  ],
}

const end = (word: 'streamer' | 'persister', connectors: readonly ConnectorSchema[]): JsonObject => ({
  oneOf: [
    ...connectors.map(
      (c): JsonObject => ({
        type: 'object',
        description: c.doc,
        required: [word],
        additionalProperties: false,
        properties: {
          [word]: { const: c.name, description: c.doc },
          config: referencesAllowed(c.config),
          env: variables,
        },
      }),
    ),
    {
      type: 'object',
      description: 'One of connectors: its own settings under config.',
      required: [word],
      additionalProperties: false,
      properties: {
        [word]: { type: 'string', not: { enum: connectors.map((c) => c.name) } },
        config: { type: 'object' },
        env: variables,
      },
    },
    {
      type: 'object',
      description: 'Any Singer program.',
      required: ['exec'],
      additionalProperties: false,
      properties: { exec, config: { type: 'object' }, env: variables },
    },
  ],
})

/** A setting may be a reference whatever its type; so each also accepts a text with `${`. */
const referencesAllowed = (config: JsonObject): JsonObject => {
  const properties = (config['properties'] ?? {}) as JsonObject
  return {
    ...config,
    properties: Object.fromEntries(
      Object.entries(properties).map(([key, schema]) => {
        const { description, ...rest } = schema as JsonObject
        return [
          key,
          {
            ...(description === undefined ? {} : { description }),
            anyOf: [rest, { type: 'string', pattern: '\\$\\{' }],
          },
        ]
      }),
    ),
  }
}

/** JSON Schema of `millrace.yaml` for editors, with the settings of the connectors given. */
export const projectJsonSchema = (connectors: {
  readonly streamers: readonly ConnectorSchema[]
  readonly persisters: readonly ConnectorSchema[]
}): JsonObject => ({
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'millrace.yaml',
  description: 'Pipelines of Millrace: a streamer, a persister, and what happens between them.',
  type: 'object',
  required: ['version'],
  additionalProperties: false,
  patternProperties: { '^x-': { description: 'A place for anchors of your own.' } },
  properties: {
    version: { const: 1 },
    connectors: {
      type: 'object',
      description: 'Taps and targets of somebody else, which `millrace add` installs.',
      propertyNames: { pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$' },
      additionalProperties: {
        type: 'object',
        required: ['install'],
        additionalProperties: false,
        properties: {
          install: { type: 'string', minLength: 1, description: 'What pip installs, or npm:NAME.' },
          'index-url': { type: 'string', description: 'The Python registry it comes from.' },
          executable: { type: 'string', description: 'The program, where it is not called as the connector is.' },
          settings: {
            type: 'object',
            description: 'Settings of the streamer or persister singer, such as catalog_flag.',
          },
        },
      },
    },
    pipelines: {
      type: 'object',
      propertyNames: { pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$' },
      additionalProperties: {
        type: 'object',
        required: ['from', 'to'],
        additionalProperties: false,
        properties: {
          from: { description: 'Where the data comes from.', ...end('streamer', connectors.streamers) },
          to: { description: 'Where the data goes.', ...end('persister', connectors.persisters) },
          select: {
            type: 'object',
            description:
              'What is read: substreams (globs), all of it, nothing of it, or a list of fields; "!" leaves a field out.',
            additionalProperties: { oneOf: [{ type: 'boolean' }, { ...fields, minItems: 1 }] },
          },
          maps: {
            type: 'object',
            description: 'What is changed on the way, by substream.',
            additionalProperties: {
              type: 'object',
              additionalProperties: false,
              properties: {
                drop: { ...fields, description: 'Fields left out.' },
                rename: {
                  type: 'object',
                  additionalProperties: { type: 'string' },
                  description: 'Old name: new name.',
                },
                rename_to: {
                  type: 'string',
                  minLength: 1,
                  description: 'Another name for the substream at the destination.',
                },
                mask: {
                  type: 'object',
                  additionalProperties: { enum: ['hash', 'redact', 'last4'] },
                  description: 'Field: how its value is hidden.',
                },
                mask_salt: {
                  type: 'string',
                  minLength: 1,
                  description: 'Put before the value in a hash. ${NAME} takes it from the environment or .env.',
                },
                filter: { type: 'string', description: 'An expression; records for which it is false are left out.' },
              },
            },
          },
          'on-invalid': {
            enum: ['stop', 'dead-letter'],
            description: 'What happens to a record that cannot be stored. Default stop.',
          },
          validate: { type: 'boolean', description: 'Whether records are checked against their schema. Default true.' },
          'flush-records': {
            type: 'integer',
            minimum: 1,
            description: 'Records between two commits at the destination. Default: what suits it.',
          },
          'flush-seconds': {
            type: 'number',
            exclusiveMinimum: 0,
            description: 'Seconds between two commits at the destination. Default: what suits it.',
          },
        },
      },
    },
  },
})
