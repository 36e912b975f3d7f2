/**
 * npm 11 refuses `npm ci` ("Missing: … from lock file") where the lock lacks a platform's optional package and the
 * registry cannot give it; npm 10 does not mind. So every optional dependency stands in the lock, whatever the platform.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'

interface Entry {
  readonly version?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

const read = <T>(path: string): T => JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')) as T
const { packages } = read<{ readonly packages: Readonly<Record<string, Entry>> }>('package-lock.json')

describe('package-lock.json', () => {
  it('has every optional dependency of every platform', () => {
    const missing = Object.entries(packages).flatMap(([path, entry]) =>
      Object.keys(entry.optionalDependencies ?? {}).filter(
        (name) =>
          packages[`node_modules/${name}`] === undefined && packages[`${path}/node_modules/${name}`] === undefined,
      ),
    )
    assert.deepEqual(missing, [])
  })

  it('agrees with each package.json, where versions are exact', () => {
    const folders = Object.keys(packages).filter((path) => path === '' || path.startsWith('packages/'))
    assert.ok(folders.length >= 5)
    for (const folder of folders) {
      const manifest = read<Entry>(`${folder === '' ? '' : `${folder}/`}package.json`)
      for (const kind of ['dependencies', 'devDependencies'] as const) {
        assert.deepEqual({ ...packages[folder]?.[kind] }, { ...manifest[kind] }, folder)
        for (const [name, version] of Object.entries(manifest[kind] ?? {}))
          assert.match(version, /^\d+\.\d+\.\d+/, name)
      }
    }
  })
})
