import { readFile } from 'node:fs/promises'
import wabt from 'wabt'

/** What is assembled, and the constant that holds it. */
const modules: Readonly<Record<string, string>> = {
  'packages/sdk/src/message/line-scan': 'lineScanWasm',
  'packages/connectors/src/gate/byte-check': 'byteCheckWasm',
  'packages/sdk/src/message/json-lines': 'jsonLinesWasm',
  'packages/connectors/src/streamers/postgres/copy-rows': 'copyRowsWasm',
  'packages/connectors/src/streamers/files/row-lines': 'rowLinesWasm',
  'packages/connectors/src/persisters/postgres/record-rows': 'recordRowsWasm',
}

/** WebAssembly, assembled from its text. */
export const files = async (): Promise<Readonly<Record<string, string>>> => {
  const tools = await wabt()
  const made = Object.entries(modules).map(async ([path, name]): Promise<[string, string]> => {
    const source = `${path}.wat`
    const module = tools.parseWat(source, await readFile(source, 'utf8'), { simd: true })
    const binary = Buffer.from(module.toBinary({}).buffer).toString('base64')
    module.destroy()
    return [
      `${path}.generated.ts`,
      `// Made by scripts/generate/wasm.ts from ${source.slice(source.lastIndexOf('/') + 1)}; do not edit.\nexport const ${name}: string =\n  '${binary}'\n`,
    ]
  })
  return Object.fromEntries(await Promise.all(made))
}
