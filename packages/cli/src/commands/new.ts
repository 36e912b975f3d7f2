import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MillraceError } from '@millrace/sdk'
import type { CommandSource } from '../command/definition.ts'
import { type ConnectorKind, entryUrlOfSdk } from '../connector/find.ts'
import { connectorFiles } from '../connector/templates.ts'

export const command: CommandSource = {
  doc: 'Begins a streamer, persister or operation: a folder with working code and a test that passes. Inside the repository of Millrace a streamer or persister goes to packages/connectors.',
  arguments: [
    { usage: '<kind>', doc: 'what to begin', choices: ['streamer', 'persister', 'operation'] },
    { usage: '<name>', doc: 'its name: small letters, digits and dashes' },
  ],
  examples: [
    { run: 'millrace new streamer weather', does: 'makes weather/index.ts and weather/weather.test.ts' },
    { run: 'millrace run --from ./weather --to jsonl --to.path out', does: 'runs it' },
  ],
  run: async ({ args, context }) => {
    const [kind, name] = args as readonly [ConnectorKind, string]
    if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name))
      throw new MillraceError('COMMAND_USAGE', {
        why: `"${name}" cannot be its name`,
        fix: 'Use small letters, digits and dashes: my-source.',
      })
    const repository = kind === 'operation' ? undefined : repositoryOf(context.cwd)
    const folder =
      repository === undefined ? join(context.cwd, name) : join(repository, 'packages/connectors/src', `${kind}s`, name)
    if (existsSync(folder))
      throw new MillraceError('COMMAND_USAGE', {
        why: `${folder} is there already`,
        fix: 'Choose another name, or remove it.',
      })
    mkdirSync(folder, { recursive: true })
    const shown = (file: string): string => relative(context.cwd, join(folder, file)) || file
    for (const [file, content] of Object.entries(connectorFiles(kind, name))) {
      writeFileSync(join(folder, file), content)
      context.print(`${shown(file)}\n`)
    }
    if (repository !== undefined) {
      context.say('\nNext:\n  npm run generate   adds it to the manifest and the reference\n')
      context.say(`  node --test ${shown(`${name}.test.ts`)}\n`)
      return
    }
    // Whatever the package around it says of its modules, these are of the kind that has import.
    writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n')
    context.print(`${shown('package.json')}\n`)
    makePackagesFindable(context.cwd)
    context.say(`\nNext:\n  node --test ${shown(`${name}.test.ts`)}\n`)
    context.say(next[kind](name))
  },
}

/** What to type after that. */
const next: Readonly<Record<ConnectorKind, (name: string) => string>> = {
  streamer: (name) => `  millrace streamer ./${name}\n  millrace run --from ./${name} --to jsonl --to.path out\n`,
  persister: (name) => `  millrace run --from hello --from.count 5 --to ./${name} --to.path out.txt\n`,
  operation: (name) =>
    `  millrace streamer hello --count 5 | millrace operation ./${name} | millrace persister jsonl --path out\n`,
}

/** The root of the repository of Millrace that a folder is in, or undefined. */
const repositoryOf = (folder: string): string | undefined => {
  for (let at = folder; ; at = dirname(at)) {
    const file = join(at, 'package.json')
    if (existsSync(file) && existsSync(join(at, 'packages/connectors/src'))) {
      const { name } = JSON.parse(readFileSync(file, 'utf8')) as { readonly name?: string }
      if (name === 'millrace-workspace') return at
    }
    if (dirname(at) === at) return undefined
  }
}

/**
 * Makes `import '@millrace/sdk'` work in a folder where it is not installed, as `npm link` would: an editor, tsc and
 * `node --test` look for it there.
 */
const makePackagesFindable = (folder: string): void => {
  try {
    createRequire(join(folder, 'x.js')).resolve('@millrace/sdk')
    return
  } catch {
    // Not installed here or above.
  }
  let home = dirname(fileURLToPath(entryUrlOfSdk()))
  while (!existsSync(join(home, 'package.json'))) home = dirname(home)
  const link = join(folder, 'node_modules/@millrace/sdk')
  if (existsSync(link)) return
  mkdirSync(dirname(link), { recursive: true })
  symlinkSync(home, link, 'junction')
}
