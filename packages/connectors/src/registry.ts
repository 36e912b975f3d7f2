import { MillraceError, nearest } from '@millrace/sdk'

/**
 * Names and how to load what they mean. A value, never a global: a test or an embedder makes its own small one.
 * Loading is late, so the client of a connector that is not used is never imported.
 */
export interface Registry<T> {
  /** Adds one, or replaces the one of that name. */
  add(name: string, load: () => Promise<T>): void
  /** Throws REGISTRY_UNKNOWN, which offers near names. */
  get(name: string): Promise<T>
  has(name: string): boolean
  names(): readonly string[]
  /** Another registry that knows only these. Throws REGISTRY_UNKNOWN. */
  only(...names: readonly string[]): Registry<T>
}

export const createRegistry = <T>(
  kind: 'streamer' | 'persister',
  entries: Readonly<Record<string, () => Promise<T>>> = {},
): Registry<T> => {
  const loaders = new Map(Object.entries(entries))
  const find = (name: string): (() => Promise<T>) => {
    const load = loaders.get(name)
    if (load !== undefined) return load
    const known = [...loaders.keys()].sort()
    throw new MillraceError('REGISTRY_UNKNOWN', { kind, name, near: nearest(name, known), known })
  }
  return {
    add: (name, load) => void loaders.set(name, load),
    get: async (name) => await find(name)(),
    has: (name) => loaders.has(name),
    names: () => [...loaders.keys()].sort(),
    only: (...names) => createRegistry(kind, Object.fromEntries(names.map((name) => [name, find(name)]))),
  }
}
