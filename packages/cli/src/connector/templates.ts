/** What `millrace new` writes: code that works as it stands, and a test that passes. */
import type { ConnectorKind } from './find.ts'

/** File names and their content. */
export const connectorFiles = (kind: ConnectorKind, name: string): Readonly<Record<string, string>> => {
  const variable = name.replaceAll(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
  const [code, test] = templates[kind]
  return { 'index.ts': code(name, variable), [`${name}.test.ts`]: test(name, variable) }
}

type Template = (name: string, variable: string) => string

const streamerText = (
  name: string,
  variable: string,
): string => `import { defineStreamer, type Streamer, whole } from '@millrace/sdk'

/** One record a day. Put your source in its place: ask it for what is newer than the bookmark. */
const readDays = (days: number, after: string | undefined): readonly { day: string; degrees: number }[] => {
  const first = Date.UTC(2026, 0, 1)
  return Array.from({ length: days }, (_, i) => ({
    day: new Date(first + i * 86_400_000).toISOString().slice(0, 10),
    degrees: Math.round(100 * Math.sin(i / 58)) / 10,
  })).filter(({ day }) => after === undefined || day > after)
}

export const ${variable}: Streamer = defineStreamer({
  name: '${name}',
  doc: 'Reads made-up temperatures; say here what yours reads.',
  config: {
    days: whole({ doc: 'How many days there are.', default: 10, min: 0 }),
  },
  substreams: () => [
    {
      name: 'days',
      schema: {
        type: 'object',
        properties: { day: { type: 'string', format: 'date' }, degrees: { type: 'number' } },
      },
      keyProperties: ['day'],
      // The greatest day that was read is kept as the bookmark, and comes back with the next run.
      replicationKey: 'day',
      ordered: true,
      async *records({ config, bookmark }) {
        yield readDays(config.days, typeof bookmark === 'string' ? bookmark : undefined)
      },
    },
  ],
})
`

const streamerTest = (name: string, variable: string): string => `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Json, runStreamer, silentLogger } from '@millrace/sdk'
import { ${variable} } from './index.ts'

/** The messages of one run. */
const messagesOf = async (config: { readonly days: number }, state?: Json): Promise<readonly { type: string; value?: Json }[]> => {
  const chunks: Uint8Array[] = []
  await runStreamer(${variable}, {
    command: 'sync',
    config,
    ...(state === undefined ? {} : { state }),
    write: (chunk) => void chunks.push(chunk),
    log: silentLogger,
    signal: new AbortController().signal,
  })
  return Buffer.concat(chunks)
    .toString()
    .trimEnd()
    .split('\\n')
    .map((line) => JSON.parse(line))
}
const records = (messages: readonly { type: string }[]): number => messages.filter((m) => m.type === 'RECORD').length

test('${name} reads everything once, then only what is new', async () => {
  const first = await messagesOf({ days: 10 })
  assert.equal(first[0]?.type, 'SCHEMA')
  assert.equal(records(first), 10)
  const state = first.findLast((m) => m.type === 'STATE')?.value
  assert.notEqual(state, undefined)
  assert.equal(records(await messagesOf({ days: 10 }, state)), 0)
  assert.equal(records(await messagesOf({ days: 12 }, state)), 2)
})
`

const persisterText = (
  name: string,
  variable: string,
): string => `import { type FileHandle, open } from 'node:fs/promises'
import { definePersister, type Persister, type PersisterSession, text } from '@millrace/sdk'

/** One open file. Put your destination in its place. */
class Session implements PersisterSession {
  readonly #file: FileHandle
  #lines: string[] = []

  constructor(file: FileHandle) {
    this.#file = file
  }

  /** Called before the first records of a substream, and when its schema changes: make or alter its table here. */
  async declare(): Promise<void> {}

  /** Takes records. They need not be durable yet. */
  async write(substream: string, records: Parameters<PersisterSession['write']>[1]): Promise<void> {
    for (const { record } of records) this.#lines.push(\`\${substream} \${JSON.stringify(record)}\\n\`)
  }

  /** Resolves when everything written so far survives a crash: only then is a state given out. */
  async flush(): Promise<void> {
    await this.#file.appendFile(this.#lines.join(''))
    this.#lines = []
    await this.#file.datasync()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
  }
}

export const ${variable}: Persister = definePersister({
  name: '${name}',
  doc: 'Appends one line a record to a text file; say here what yours does.',
  config: {
    path: text({ doc: 'The file.', example: 'out.txt' }),
  },
  supports: { upsert: false, exactNumbers: false, versions: false, opensRecords: true },
  open: async ({ config }) => new Session(await open(config.path, 'a')),
})
`

const persisterTest = (name: string, variable: string): string => `import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { runPersister, silentLogger } from '@millrace/sdk'
import { ${variable} } from './index.ts'

const lines = [
  '{"type":"SCHEMA","stream":"hello","schema":{"type":"object"},"key_properties":[]}',
  '{"type":"RECORD","stream":"hello","record":{"value":"world"}}',
  '{"type":"STATE","value":{"at":1}}',
]

test('${name} stores a record, then gives out the state', async () => {
  const folder = mkdtempSync(join(tmpdir(), '${name}-'))
  try {
    const path = join(folder, 'out.txt')
    const states: string[] = []
    await runPersister(${variable}, {
      config: { path },
      input: (async function* () {
        yield Buffer.from(lines.map((l) => \`\${l}\\n\`).join(''))
      })(),
      writeState: (line) => {
        assert.equal(readFileSync(path, 'utf8'), 'hello {"value":"world"}\\n')
        states.push(line)
      },
      log: silentLogger,
      signal: new AbortController().signal,
    })
    assert.deepEqual(states, ['{"at":1}\\n'])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
`

const operationText: Template = (
  name,
  variable,
) => `import { defineOperation, flag, type Operation } from '@millrace/sdk'

export const ${variable}: Operation = defineOperation({
  name: '${name}',
  doc: 'Writes the text of records in capitals; say here what yours does.',
  config: {
    keepMixed: flag({ doc: 'Whether text in capitals and small letters stays as it is.', default: false }),
  },
  // Records of one substream, in their order. Answer as many as you like; states and schemas pass by in their place.
  records: (records, { config }) =>
    records.map((record) =>
      Object.fromEntries(
        Object.entries(record).map(([field, value]) => [
          field,
          typeof value === 'string' && (!config.keepMixed || value === value.toLowerCase()) ? value.toUpperCase() : value,
        ]),
      ),
    ),
})
`

const operationTest: Template = (name, variable) => `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runOperation, silentLogger } from '@millrace/sdk'
import { ${variable} } from './index.ts'

const lines = [
  '{"type":"SCHEMA","stream":"hello","schema":{"type":"object"},"key_properties":["id"]}',
  '{"type":"RECORD","stream":"hello","record":{"id":12345678901234567890,"value":"world"}}',
  '{"type":"RECORD","stream":"hello","record":{"id":2,"value":"World"}}',
  '{"type":"STATE","value":{"at":2}}',
]

/** The lines that come out. */
const outputOf = async (config: { readonly keepMixed: boolean }): Promise<readonly string[]> => {
  const chunks: Uint8Array[] = []
  await runOperation(${variable}, {
    config,
    input: (async function* () {
      yield Buffer.from(lines.map((l) => \`\${l}\\n\`).join(''))
    })(),
    write: (chunk) => void chunks.push(chunk),
    log: silentLogger,
    signal: new AbortController().signal,
  })
  return Buffer.concat(chunks).toString().trimEnd().split('\\n')
}

test('${name} changes the records, and everything else passes in its place', async () => {
  const out = await outputOf({ keepMixed: false })
  assert.equal(out[0], lines[0])
  assert.equal(out[1], '{"type":"RECORD","stream":"hello","record":{"id":12345678901234567890,"value":"WORLD"}}')
  assert.equal(out[2], '{"type":"RECORD","stream":"hello","record":{"id":2,"value":"WORLD"}}')
  assert.equal(out[3], lines[3])
  assert.equal((await outputOf({ keepMixed: true }))[2], lines[2])
})
`

/** The code and the test of each kind. */
const templates: Readonly<Record<ConnectorKind, readonly [Template, Template]>> = {
  streamer: [streamerText, streamerTest],
  persister: [persisterText, persisterTest],
  operation: [operationText, operationTest],
}
