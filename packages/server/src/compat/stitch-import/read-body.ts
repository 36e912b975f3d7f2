/** A body of the Import API as what is stored of it: all that costs time by its size, wherever it is done. */
import { createHash } from 'node:crypto'
import type { RecordBatch } from '@millrace/engine'
import { type ImportHead, maxImportMessages, readImport, type Refusal } from '@millrace/sdk/stitch'
import { firstNotJson } from '../../streams/json-check.ts'
import { recordsOf } from './lines.ts'
import { type Compile, SchemaChecks } from './schema-checks.ts'

export type ReadBody =
  | { readonly is: 'refused'; readonly refusal: Refusal }
  /** Sound, and nothing is to be stored. */
  | { readonly is: 'empty' }
  | {
      readonly is: 'taken'
      readonly records: RecordBatch
      /** Whether each record was found to be JSON. */
      readonly isJson: boolean
      /** The same of the same body: who sends it again has lost the answer. */
      readonly digest: string
    }

export class BodyReader {
  readonly #checks: SchemaChecks

  constructor(compile: Compile) {
    this.#checks = new SchemaChecks(compile)
  }

  read(body: Buffer, head: ImportHead): ReadBody {
    const taken = readImport(body.toString(), head, {
      maxMessages: maxImportMessages,
      clientId: undefined,
      violation: (schema, record) => this.#checks.violation(schema, record),
    })
    if (!('messages' in taken)) return { is: 'refused', refusal: taken.refusal }
    if (head.kind === 'validate' || taken.messages.length === 0) return { is: 'empty' }
    const records = recordsOf(taken, (data) => this.#checks.textOf(data))
    const isJson = firstNotJson(records, () => true) === undefined
    return { is: 'taken', records, isJson, digest: createHash('sha256').update(body).digest('base64url') }
  }
}
