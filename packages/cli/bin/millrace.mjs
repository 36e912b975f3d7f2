#!/usr/bin/env node
// Starts millrace. Plain JavaScript that any Node from 18 on can read, because its first work is to get away from a
// Node that is too old: it hands over to the `node` package that stands beside it, where there is one.
import { spawn } from 'node:child_process'
import { existsSync, fstatSync, realpathSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { constants, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const neededMajor = 24
const here = realpathSync(fileURLToPath(import.meta.url))

if (Number.parseInt(process.versions.node, 10) >= neededMajor) await start()
else handOver()

async function start() {
  dropExpectedWarnings()
  try {
    // In the system's temporary folder, so a read-only installation is as fast as any other. Threads know it by the
    // variable only: without it one that opens a database takes a fifth of a second to start.
    process.env.NODE_COMPILE_CACHE ??= join(tmpdir(), 'node-compile-cache')
    nodeModule.enableCompileCache?.(process.env.NODE_COMPILE_CACHE)
  } catch {
    // Only slower.
  }
  const source = new URL('../src/main.ts', import.meta.url)
  const { main } = await import(existsSync(source) ? source.href : new URL('../dist/main.js', import.meta.url).href)
  await main(process.argv.slice(2))
}

/** Node announces what it calls experimental on stderr, where our logs and errors are. These we know and use. */
function dropExpectedWarnings() {
  const emitWarning = process.emitWarning
  process.emitWarning = (warning, ...rest) => {
    const type = typeof rest[0] === 'string' ? rest[0] : (rest[0]?.type ?? warning?.name)
    const text = typeof warning === 'string' ? warning : String(warning?.message)
    if (type === 'ExperimentalWarning' && /^(SQLite|Type Stripping) is an experimental feature/.test(text)) return
    emitWarning.call(process, warning, ...rest)
  }
}

function handOver() {
  const node = pinnedNode()
  if (node === undefined) {
    process.stderr.write(
      `Node ${process.versions.node} is too old: Millrace needs Node ${neededMajor} or newer   [NODE_TOO_OLD, after-fix]\n` +
        `  Install it from https://nodejs.org, or \`npm install node@${neededMajor}\` beside millrace.\n`,
    )
    process.exitCode = 78
    return
  }
  // A signal from the terminal reaches the child without us, one sent to this process only through us; the child
  // takes two of them in quick succession for one (src/command/stop-signals.ts).
  const child = spawn(node, [here, ...process.argv.slice(2)], {
    stdio: inheritedDescriptors(),
    env: { ...process.env, MILLRACE_HANDED_OVER: '1' },
  })
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, () => child.kill(signal))
  child.on('error', (e) => {
    process.stderr.write(
      `cannot start ${node}: ${e.message}   [PROCESS_NOT_STARTED, after-fix]\n  Run \`npm ci\` again.\n`,
    )
    process.exitCode = 78
  })
  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + (constants.signals[signal] ?? 0))
  })
}

function pinnedNode() {
  let folder
  try {
    folder = dirname(nodeModule.createRequire(here).resolve('node/package.json'))
  } catch {
    return undefined
  }
  return ['node', 'node.exe'].map((name) => join(folder, 'bin', name)).find((file) => existsSync(file))
}

/**
 * stdin, stdout, stderr, the descriptor for reports, and those that an argument names (`--config <(…)` is
 * /dev/fd/63). Not simply all that are open: Node has opened some for itself.
 */
function inheritedDescriptors() {
  const wanted = [process.env.MILLRACE_REPORT_FD]
  for (const argument of process.argv) wanted.push(/\/(?:dev|proc\/self)\/fd\/(\d+)$/.exec(argument)?.[1])
  const stdio = [0, 1, 2]
  for (const text of wanted) {
    const fd = Number(text)
    if (text === undefined || !Number.isInteger(fd) || fd < 3 || fd > 1023) continue
    try {
      fstatSync(fd)
    } catch {
      continue
    }
    while (stdio.length <= fd) stdio.push('ignore')
    stdio[fd] = fd
  }
  return stdio
}
