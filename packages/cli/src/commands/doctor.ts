import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { builtInPersisters, builtInStreamers } from '@millrace/connectors'
import { isMillraceError, toMillraceError } from '@millrace/sdk'
import { findProject, readProject } from '@millrace/server'
import type { CommandSource } from '../command/definition.ts'
import type { Finding } from '../doctor/finding.ts'
import { managerFindings } from '../doctor/manager.ts'
import { version } from '../command/version.ts'
import { openProjectStore } from '../project/store.ts'
import { size } from '../terminal/format.ts'

const lowDiskBytes = 500e6

export const command: CommandSource = {
  doc: 'Looks for what would keep millrace from working here, and at the manager that is known here, if any. Changes nothing.',
  json: true,
  examples: [
    { run: 'millrace doctor', does: 'one line for each thing, with its fix' },
    { run: 'millrace doctor --json', does: 'the same for a program' },
  ],
  run: async ({ context }) => {
    const { cwd, style } = context
    const findings = [
      node(),
      await git(),
      temporaryFolder(),
      disk(cwd),
      ...(await project(cwd)),
      store(cwd),
      ...(await managerFindings(context, version())),
      ...(await connectors()),
    ]
    const isSick = findings.some((f) => f.is === 'bad')
    if (context.json) context.printJson({ good: !isSick, findings })
    else
      for (const f of findings) {
        const mark = f.is === 'good' ? style.green('ok  ') : f.is === 'missing' ? style.dim('-   ') : style.red('BAD ')
        context.print(`${mark} ${f.what}: ${f.found}\n${f.fix === undefined ? '' : `      ${f.fix}\n`}`)
      }
    return isSick ? 78 : 0
  },
}

const node = (): Finding => ({ what: 'Node', is: 'good', found: `${process.versions.node} (${process.execPath})` })

const git = async (): Promise<Finding> => {
  try {
    const { stdout } = await promisify(execFile)('git', ['--version'])
    return { what: 'git', is: 'good', found: stdout.trim().replace(/^git version /, '') }
  } catch {
    return {
      what: 'git',
      is: 'missing',
      found: 'not found',
      fix: 'Only the git streamer needs it: install git to use that.',
    }
  }
}

const temporaryFolder = (): Finding => {
  const what = 'temporary folder'
  try {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-doctor-'))
    writeFileSync(join(folder, 'x'), 'x')
    rmSync(folder, { recursive: true })
    return { what, is: 'good', found: tmpdir() }
  } catch (e) {
    return {
      what,
      is: 'bad',
      found: `${tmpdir()}: ${(e as NodeJS.ErrnoException).code}`,
      fix: 'Set TMPDIR to a folder that can be written.',
    }
  }
}

const disk = (cwd: string): Finding => {
  try {
    const { bavail, bsize } = statfsSync(cwd)
    const free = bavail * bsize
    return free < lowDiskBytes
      ? {
          what: 'disk',
          is: 'bad',
          found: `${size(free)} free in ${cwd}`,
          fix: 'Free some space: a full disk stops a run (nothing is lost, but nothing moves).',
        }
      : { what: 'disk', is: 'good', found: `${size(free)} free` }
  } catch (e) {
    return {
      what: 'disk',
      is: 'bad',
      found: `${cwd}: ${(e as NodeJS.ErrnoException).code}`,
      fix: 'Go to a folder that is there.',
    }
  }
}

const project = async (cwd: string): Promise<readonly Finding[]> => {
  const file = findProject(cwd)
  if (file === undefined)
    return [
      {
        what: 'project',
        is: 'missing',
        found: `no millrace.yaml in ${cwd} or above`,
        fix: 'Not needed; `millrace init` makes one.',
      },
    ]
  try {
    const { pipelines } = await readProject(file, {
      streamers: builtInStreamers().names(),
      persisters: builtInPersisters().names(),
    })
    return [
      { what: 'project', is: 'good', found: `${file}, pipelines: ${[...pipelines.keys()].join(', ') || 'none yet'}` },
    ]
  } catch (e) {
    const { message, fix } = toMillraceError(e)
    return [{ what: 'project', is: 'bad', found: message, fix }]
  }
}

const store = (cwd: string): Finding => {
  const what = 'store'
  const file = findProject(cwd)
  const folder = join(file === undefined ? cwd : dirname(file), '.millrace')
  const database = join(folder, 'millrace.db')
  try {
    if (!existsSync(database)) {
      accessSync(existsSync(folder) ? folder : dirname(folder), constants.W_OK)
      return { what, is: 'good', found: `${database} will be made by the first run` }
    }
    accessSync(database, constants.W_OK)
    const opened = openProjectStore(cwd)
    opened[Symbol.dispose]()
    return { what, is: 'good', found: database }
  } catch (e) {
    return isMillraceError(e)
      ? { what, is: 'bad', found: e.message, fix: e.fix }
      : {
          what,
          is: 'bad',
          found: `${database}: ${(e as NodeJS.ErrnoException).code}`,
          fix: 'Make the folder writable for this user.',
        }
  }
}

/** Loads each connector: a client that is not installed for this machine shows here. */
const connectors = async (): Promise<readonly Finding[]> => {
  const findings: Finding[] = []
  for (const registry of [builtInStreamers(), builtInPersisters()])
    for (const name of registry.names()) {
      try {
        const { kind } = await registry.get(name)
        findings.push({ what: `${kind} ${name}`, is: 'good', found: 'loads' })
      } catch (e) {
        findings.push({
          what: name,
          is: 'bad',
          found: toMillraceError(e).message,
          fix: 'Run `npm ci` again (with optional dependencies).',
        })
      }
    }
  return findings
}
