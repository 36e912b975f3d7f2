import { readFile } from 'node:fs/promises'
import { openApiDocument } from '../../packages/server/src/api/index.ts'
import { apiPage } from './parts/api-page.ts'
import { type Document, operationsOf } from './parts/openapi.ts'
import { typeText } from './parts/schema-type.ts'

/** The types that the client of the API works with, the page about the API, and the document itself. */
export const files = async (): Promise<Readonly<Record<string, string>>> => {
  const { version } = JSON.parse(await readFile('packages/cli/package.json', 'utf8')) as { readonly version: string }
  const document = (await openApiDocument(version)) as Document
  const operations = operationsOf(document)
  const types = operations.map(
    (o) =>
      `  /** ${o.summary} */\n  ${o.id}: {\n    params: ${typeText(o.params)}\n    query: ${typeText(o.query)}\n    body: ${typeText(o.body)}\n    answer: ${typeText(o.answer)}\n  }\n`,
  )
  const places = operations.map((o) => `  ${o.id}: ['${o.method}', '${o.path}'],\n`)
  return {
    'packages/sdk/src/manager/operations.generated.ts': `// Made by scripts/generate/api.ts from the routes of the server; do not edit.\n\n/** What each operation of the API takes and answers. */\nexport interface Operations {\n${types.join('')}}\n\n/** The method and the path of each operation. */\nexport const places: { readonly [K in keyof Operations]: readonly [method: string, path: string] } = {\n${places.join('')}}\n`,
    'docs/reference/openapi.json': `${JSON.stringify(document, null, 2)}\n`,
    'docs/reference/api.md': apiPage(operations),
  }
}
