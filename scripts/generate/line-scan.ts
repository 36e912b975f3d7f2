import { readFile } from 'node:fs/promises'
import wabt from 'wabt'

const source = 'packages/sdk/src/message/line-scan.wat'

/** The WebAssembly of the line scanner, assembled from its text. */
export const files = async (): Promise<Readonly<Record<string, string>>> => {
  const tools = await wabt()
  const module = tools.parseWat(source, await readFile(source, 'utf8'), { simd: true })
  const binary = Buffer.from(module.toBinary({}).buffer).toString('base64')
  module.destroy()
  return {
    'packages/sdk/src/message/line-scan.generated.ts': `// Made by scripts/generate/line-scan.ts from line-scan.wat; do not edit.\nexport const lineScanWasm: string =\n  '${binary}'\n`,
  }
}
