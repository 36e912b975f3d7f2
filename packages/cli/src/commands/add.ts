import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { MillraceError } from '@millrace/sdk'
import {
  addConnector,
  findProject,
  type InstalledConnector,
  isNpm,
  loadProject,
  projectFileName,
} from '@millrace/server'
import { installConnector, isInstalled, lockFile } from '../add/environment.ts'
import { isLocalPath } from '../add/python.ts'
import type { CommandInput, CommandSource } from '../command/definition.ts'
import { listenForStop } from '../command/stop-signals.ts'

const connectorName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/

export const command: CommandSource = {
  doc: 'Installs a Singer tap or target into an environment of its own in .millrace, keeps its exact versions in millrace-lock, and adds it to millrace.yaml. Without a name it installs what the project has, as the locks say.',
  arguments: [
    { usage: '[name]', doc: 'what it is called in millrace.yaml: tap-github' },
    {
      usage: '[what]',
      doc: 'what pip installs, where it is not the name: tap-github==1.2, a folder, a wheel, git+https://…; or npm:NAME',
    },
  ],
  options: [
    { flags: '--index-url <url>', doc: 'the Python registry to ask' },
    { flags: '--python <program>', doc: 'the Python that makes the environment (default: python3)' },
    { flags: '--executable <name>', doc: 'its program, where it is not called as the connector is' },
  ],
  examples: [
    { run: 'millrace add tap-github', does: 'from the Python registry' },
    { run: 'millrace add target-warehouse ./warehouse-1.0-py3-none-any.whl', does: 'from a wheel' },
    { run: 'millrace add tap-shop npm:tap-shop', does: 'from npm' },
    { run: 'millrace add', does: 'all of the project, in a fresh clone' },
  ],
  run: async (input) => {
    const { args } = input
    const file = findProject(input.context.cwd)
    if (file === undefined) throw new MillraceError('PROJECT_NOT_FOUND', { cwd: input.context.cwd })
    if (args[0] === undefined) await addAll(input)
    else await addOne(input, file, args[0])
  },
}

const addOne = async ({ args, options, context }: CommandInput, file: string, name: string): Promise<void> => {
  if (!connectorName.test(name))
    throw new MillraceError('COMMAND_USAGE', {
      why: `"${name}" cannot be a connector's name`,
      fix: 'Letters, digits, _ . -; what is installed comes behind it: millrace add tap-x ./tap-x',
    })
  const project = await loadProject(context.cwd)
  const { dir } = project
  const before = project.connectors.get(name)
  const spec = args[1] ?? before?.install ?? name
  const install = isLocalPath(spec, context.cwd) ? fromProject(resolve(context.cwd, spec), dir) : spec
  using stop = listenForStop()
  const connector = {
    name,
    install,
    indexUrl: options.text('index-url') ?? before?.indexUrl,
    settings: before?.settings ?? {},
    executable: options.text('executable'),
  }
  context.say(`Installing ${install}\n`)
  const executable = await installConnector({
    dir,
    connector,
    locked: false,
    python: options.text('python') ?? 'python3',
    signal: stop.stop,
    say: (line) => context.say(`  ${line}\n`),
  })
  const text = readFileSync(file, 'utf8')
  const after = addConnector(text, { ...connector, executable })
  if (after !== text) writeFileSync(file, after)
  context.print(`${name}: ${executable}, ${lockFile(connector)}\n`)
  context.say(
    `\nIn a pipeline of ${projectFileName}:\n  ${/^target/.test(name) ? 'to: { persister' : 'from: { streamer'}: ${name}, config: { … } }\n`,
  )
}

/** A path as the project file has it: from its folder, where it lies inside. */
const fromProject = (path: string, dir: string): string => {
  const inside = relative(dir, path)
  return inside.startsWith('..') ? path : `./${inside}`
}

const addAll = async ({ options, context }: CommandInput): Promise<void> => {
  const { dir, connectors } = await loadProject(context.cwd)
  using stop = listenForStop()
  for (const connector of connectors.values()) await restore(connector)

  async function restore(connector: InstalledConnector): Promise<void> {
    if (isInstalled(dir, connector)) {
      context.print(`${connector.name}: as its lock says\n`)
      return
    }
    const locked = existsSync(join(dir, lockFile(connector)))
    context.say(`Installing ${connector.install}${locked ? ', as its lock says' : ''}\n`)
    await installConnector({
      dir,
      connector,
      locked,
      python: options.text('python') ?? 'python3',
      signal: stop.stop,
      say: (line) => context.say(`  ${line}\n`),
    })
    context.print(`${connector.name}: installed${isNpm(connector.install) ? ' by npm' : ''}\n`)
  }
}
