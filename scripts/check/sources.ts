/** The TypeScript files of the repository, parsed once for all source rules. */
import { readFileSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import { join } from 'node:path'
import { parseSync } from 'oxc-parser'

/** A node of the syntax tree: a type, a place, and whatever else its type has. */
export interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [key: string]: unknown
}

/** One import, export-from or `import()` of a file. */
export interface ImportOf {
  readonly specifier: string
  /** True where it is gone at run time: `import type`, or only `type` names. */
  readonly typeOnly: boolean
  /** True for `import()`: loaded when it is asked for. */
  readonly lazy: boolean
  readonly line: number
}

export interface Source {
  /** From the root of the repository, with forward slashes. */
  readonly path: string
  readonly text: string
  readonly program: Node
  readonly imports: readonly ImportOf[]
}

/** What a rule found: `path:line: what is wrong`. */
export type Problem = string

/** The line of a place in a text, from 1. */
export const lineAt = (text: string, offset: number): number => text.slice(0, offset).split('\n').length

/** Calls `visit` for each node, parents first. */
export const walk = (node: unknown, visit: (node: Node) => void): void => {
  if (Array.isArray(node)) {
    for (const one of node) walk(one, visit)
    return
  }
  if (typeof node !== 'object' || node === null) return
  if (typeof (node as Node).type === 'string') visit(node as Node)
  for (const [key, value] of Object.entries(node)) if (key !== 'parent') walk(value, visit)
}

/** Reads a text as the source at `path`. Throws where it is not TypeScript. */
export const parseSource = (path: string, text: string): Source => {
  const parsed = parseSync(path, text)
  const fault = parsed.errors[0]
  if (fault !== undefined) throw new Error(`${path}: ${fault.message}`)
  const { module } = parsed
  const found: ImportOf[] = []
  const add = (specifier: string, offset: number, typeOnly: boolean, lazy = false): void => {
    found.push({ specifier, typeOnly, lazy, line: lineAt(text, offset) })
  }
  for (const one of module.staticImports) {
    add(
      one.moduleRequest.value,
      one.start,
      /^import\s+type\b/.test(text.slice(one.start)) || (one.entries.length > 0 && one.entries.every((e) => e.isType)),
    )
  }
  for (const one of module.staticExports) {
    const from = one.entries.find((entry) => entry.moduleRequest !== null)?.moduleRequest
    if (from != null)
      add(
        from.value,
        one.start,
        one.entries.every((e) => e.isType),
      )
  }
  for (const one of module.dynamicImports) {
    const specifier = text.slice(one.moduleRequest.start, one.moduleRequest.end)
    if (/^['"][^'"]*['"]$/.test(specifier)) add(specifier.slice(1, -1), one.start, false, true)
  }
  return { path, text, program: parsed.program as unknown as Node, imports: found }
}

/** All TypeScript of the repository that is written by hand or generated; not what is built or installed. */
export const readSources = async (root: string): Promise<readonly Source[]> => {
  const sources: Source[] = []
  const skip = (path: string): boolean => /(^|\/)(node_modules|dist|lib)(\/|$)/.test(path)
  for await (const path of glob('{packages,tests,examples,scripts,bench}/**/*.ts', { cwd: root, exclude: skip })) {
    if (!path.endsWith('.d.ts')) sources.push(parseSource(path, readFileSync(join(root, path), 'utf8')))
  }
  return sources.sort((a, b) => (a.path < b.path ? -1 : 1))
}
