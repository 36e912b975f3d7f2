import { builtInPersisters, builtInStreamers } from '@millrace/connectors'
import { type ConfigSpec, configJsonSchema } from '@millrace/sdk'
import { projectJsonSchema } from '@millrace/server'

interface Connector {
  readonly name: string
  readonly doc: string
  readonly config: ConfigSpec
}

const describe = async (registry: { names(): readonly string[]; get(name: string): Promise<Connector> }) =>
  Promise.all(
    registry.names().map(async (name) => {
      const { doc, config } = await registry.get(name)
      return { name, doc, config: configJsonSchema(config) }
    }),
  )

/** The JSON Schema of millrace.yaml, for editors. */
export const files = async (): Promise<Readonly<Record<string, string>>> => {
  const schema = projectJsonSchema({
    streamers: await describe(builtInStreamers()),
    persisters: await describe(builtInPersisters()),
  })
  return { 'packages/server/schema/millrace.schema.json': `${JSON.stringify(schema, null, 2)}\n` }
}
