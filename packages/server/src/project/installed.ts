/** The `connectors` of a project: taps and targets of somebody else, each in an environment of its own in `.millrace`. */
import { join } from 'node:path'
import type { JsonObject } from '@millrace/sdk'
import type { Entry, YamlWalk } from './yaml-walk.ts'

export interface InstalledConnector {
  readonly name: string
  /** What pip installs: `tap-x`, `tap-x==1.2`, a path, an address; or `npm:` and what npm installs. */
  readonly install: string
  /** The registry that pip asks. */
  readonly indexUrl: string | undefined
  /** The program in the environment. */
  readonly executable: string
  /** Settings of `singer` beside the command and its config. */
  readonly settings: JsonObject
}

/** Whether npm installs it. */
export const isNpm = (install: string): boolean => install.startsWith('npm:')

const environmentsFolder = join('.millrace', 'environments')
/** The environment of a connector, from the folder of the project. */
export const environmentFolder = (name: string): string => join(environmentsFolder, name)
/** Where its programs are, from the folder of the project. */
export const programFolder = ({ name, install }: Pick<InstalledConnector, 'name' | 'install'>): string =>
  join(environmentFolder(name), isNpm(install) ? join('node_modules', '.bin') : 'bin')

/** The configuration of `singer` that runs it. */
export const installedConfig = (connector: InstalledConnector, config: JsonObject | undefined): JsonObject => ({
  ...connector.settings,
  command: [`./${join(programFolder(connector), connector.executable)}`],
  ...(config === undefined ? {} : { config }),
})

const connectorName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/
const keys = ['install', 'index-url', 'executable', 'settings']

/** Reads the section; what is wrong becomes problems of the walk. */
export const readInstalled = (walk: YamlWalk, section: Entry): ReadonlyMap<string, InstalledConnector> => {
  const found = new Map<string, InstalledConnector>()
  if (section.value === null || walk.scalar(section.value) === null) return found
  for (const { key: name, keyNode, value } of walk.entries(section.value, 'connectors')) {
    const what = `connectors.${name}`
    if (!connectorName.test(name))
      walk.problem(keyNode, `"${name}" cannot be a connector's name: letters, digits, _ . - and at most 64 of them`)
    const fields = walk.fields(value ?? keyNode, what, keys)
    const textOf = (key: string): string | undefined => {
      const field = fields.get(key)
      const text = field === undefined ? undefined : walk.scalar(field.value)
      if (field !== undefined && (typeof text !== 'string' || text === ''))
        walk.problem(field.value ?? field.keyNode, `${what}.${key} must be a text`)
      return typeof text === 'string' ? text : undefined
    }
    const install = textOf('install')
    if (!fields.has('install')) walk.problem(keyNode, `${what} has no "install": say what is installed`)
    const executable = textOf('executable')
    if (executable !== undefined && /[/\\]/.test(executable))
      walk.problem(fields.get('executable')?.value, `${what}.executable must be a name, not a path`)
    const settings = fields.get('settings')
    found.set(name, {
      name,
      install: install ?? name,
      indexUrl: textOf('index-url'),
      executable: executable ?? name,
      settings: settings === undefined ? {} : (walk.json(settings.value, () => {}) as JsonObject),
    })
  }
  return found
}
