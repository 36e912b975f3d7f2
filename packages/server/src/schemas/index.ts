import { MillraceError } from '@millrace/sdk'
import type { AddSchema, RecordCheck, SchemaCompiler } from '../streams/types.ts'
import { SchemaFault } from './fault.ts'

const faultIn = (why: string, cause?: unknown): MillraceError =>
  new MillraceError('SCHEMA_INVALID', { stream: '(new)', why: why.slice(0, 300) }, { cause })

/**
 * Makes checks of the schemas of streams: JSON Schema (draft 6 to 2020-12) and Avro. A schema of Great Expectations must be JSON and is
 * kept for those who read it: nothing is checked against it here. What compiles is loaded with the first schema.
 */
export const schemaCompiler: SchemaCompiler = {
  compile: async ({ type, text }: AddSchema): Promise<RecordCheck | undefined> => {
    let schema: unknown
    try {
      schema = JSON.parse(text)
    } catch (e) {
      throw faultIn('it is not JSON', e)
    }
    try {
      if (type === 'JSON') return (await import('./json-schema.ts')).jsonSchemaCheck(schema)
      if (type === 'AVRO') return (await import('./avro.ts')).avroCheck(schema)
      return undefined
    } catch (e) {
      if (e instanceof SchemaFault) throw faultIn(e.message, e)
      if (e instanceof RangeError) throw faultIn('it is nested too deep', e)
      throw e
    }
  },
}
