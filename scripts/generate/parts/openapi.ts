/** The operations of an OpenAPI document, as the generators want them. */

export type JsonSchema = Readonly<Record<string, unknown>>

interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly required?: boolean
  readonly description?: string
  readonly schema: JsonSchema
}
interface Content {
  readonly description?: string
  readonly content?: Readonly<Record<string, { readonly schema: JsonSchema }>>
}
interface RawOperation {
  readonly operationId: string
  readonly tags: readonly string[]
  readonly summary: string
  readonly description?: string
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: Content
  readonly responses: Readonly<Record<string, Content>>
  readonly security?: readonly unknown[]
}
export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, RawOperation>>>>
}

export interface Operation {
  readonly id: string
  readonly tag: string
  readonly method: string
  readonly path: string
  readonly summary: string
  readonly description: string | undefined
  readonly isOpen: boolean
  readonly params: JsonSchema | undefined
  readonly query: JsonSchema | undefined
  readonly headers: JsonSchema | undefined
  readonly body: JsonSchema | undefined
  readonly status: string
  readonly answer: JsonSchema | undefined
}

const objectOf = (parameters: readonly Parameter[]): JsonSchema | undefined =>
  parameters.length === 0
    ? undefined
    : {
        type: 'object',
        properties: Object.fromEntries(
          parameters.map((p) => [
            p.name,
            { ...p.schema, ...(p.description === undefined ? {} : { description: p.description }) },
          ]),
        ),
        required: parameters.filter((p) => p.required).map((p) => p.name),
      }

const first = (content: Content['content']): JsonSchema | undefined => Object.values(content ?? {})[0]?.schema

export const operationsOf = (document: Document): readonly Operation[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, raw]): Operation => {
      const parameters = raw.parameters ?? []
      const of = (place: Parameter['in']): JsonSchema | undefined => objectOf(parameters.filter((p) => p.in === place))
      const status = Object.keys(raw.responses).find((s) => s.startsWith('2')) ?? '200'
      return {
        id: raw.operationId,
        tag: raw.tags[0] ?? '',
        method: method.toUpperCase(),
        path,
        summary: raw.summary,
        description: raw.description,
        isOpen: raw.security?.length === 0,
        params: of('path'),
        query: of('query'),
        headers: of('header'),
        body: first(raw.requestBody?.content),
        status,
        answer: first(raw.responses[status]?.content),
      }
    }),
  )
