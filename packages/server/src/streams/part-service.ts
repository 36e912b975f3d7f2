import { MillraceError } from '@millrace/sdk'
import type { StreamKey, StreamSchema } from '../control/types.ts'
import type { Principal } from '../domain/access.ts'
import type { Context } from './context.ts'
import type { StreamParts } from './stream-service.ts'
import type { AddKey, AddSchema, StreamRef } from './types.ts'

/** Greatest schema, in characters. */
export const maxSchema = 200_000
const maxSchemas = 1_000
const maxKeyValue = 10_000
const maxText = 500

export class PartService implements StreamParts {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  async addSchema(p: Principal, ref: StreamRef, schema: AddSchema): Promise<StreamSchema> {
    const { stream } = await this.#context.allow(p, ref, 'arrange')
    const { parts } = this.#context.control
    const refused = (why: string) => new MillraceError('SCHEMA_INVALID', { stream: stream.name, why })
    if (schema.text.length > maxSchema) throw refused(`it has more than ${maxSchema} characters`)
    if ((await parts.schemas(stream.id)).length >= maxSchemas)
      throw refused(`a stream has at most ${maxSchemas} of them`)
    await this.#context.schemas.compile(schema)
    const act = this.#context.act(p)
    const kept = { ...schema, id: this.#context.newId(), streamId: stream.id, createdAt: act.at }
    await parts.addSchema(act, kept)
    return kept
  }

  async schema(p: Principal, ref: StreamRef, id: string): Promise<StreamSchema> {
    const { stream } = await this.#context.allow(p, ref, 'describe')
    const found = await this.#context.control.parts.schema(stream.id, id)
    if (found === undefined) throw new MillraceError('SCHEMA_UNKNOWN', { schema: id })
    return found
  }

  async schemas(p: Principal, ref: StreamRef): Promise<readonly StreamSchema[]> {
    const { stream } = await this.#context.allow(p, ref, 'describe')
    return await this.#context.control.parts.schemas(stream.id)
  }

  async deleteSchema(p: Principal, ref: StreamRef, id: string): Promise<void> {
    const { stream } = await this.#context.allow(p, ref, 'arrange')
    await this.#context.control.parts.removeSchema(this.#context.act(p), stream.id, id)
  }

  async activateSchema(p: Principal, ref: StreamRef, id: string | undefined): Promise<void> {
    const { stream } = await this.#context.allow(p, ref, 'arrange')
    await this.#context.control.parts.activateSchema(this.#context.act(p), stream.id, id)
  }

  async addKey(p: Principal, ref: StreamRef, key: AddKey): Promise<StreamKey> {
    const { stream } = await this.#context.allow(p, ref, 'arrange')
    const { algorithm, encoding, value, description = '' } = key
    if (
      value === '' ||
      value.length > maxKeyValue ||
      [algorithm, encoding, description].some((t) => t.length > maxText)
    )
      throw new MillraceError('CONTROL_ARGUMENT', { why: `a public key has 1 to ${maxKeyValue} characters` })
    const act = this.#context.act(p)
    const kept = {
      id: this.#context.newId(),
      streamId: stream.id,
      algorithm,
      encoding,
      value,
      description: key.description,
      createdAt: act.at,
    }
    await this.#context.control.parts.addKey(act, kept)
    return kept
  }

  async key(p: Principal, ref: StreamRef, id: string): Promise<StreamKey> {
    const { stream } = await this.#context.allow(p, ref, 'describe')
    const found = await this.#context.control.parts.key(stream.id, id)
    if (found === undefined) throw new MillraceError('KEY_UNKNOWN', { key: id })
    return found
  }

  async keys(p: Principal, ref: StreamRef): Promise<readonly StreamKey[]> {
    const { stream } = await this.#context.allow(p, ref, 'describe')
    return await this.#context.control.parts.keys(stream.id)
  }

  async activateKey(p: Principal, ref: StreamRef, id: string | undefined): Promise<void> {
    const { stream } = await this.#context.allow(p, ref, 'arrange')
    await this.#context.control.parts.activateKey(this.#context.act(p), stream.id, id)
  }
}
