import { readFileSync } from 'node:fs'

/** The version of millrace. Packed, this stands in a chunk two folders below the package too (scripts/pack/bundle.ts). */
export const version = (): string =>
  (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { readonly version: string })
    .version
