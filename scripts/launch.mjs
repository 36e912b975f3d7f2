#!/usr/bin/env node
/**
 * Runs a TypeScript script of this repository under Node 24 or newer: this one where it is new enough, otherwise the
 * one that the repository pins as a development dependency.
 *
 *     node scripts/launch.mjs scripts/test.ts packages/sdk
 *
 * Plain JavaScript without new syntax, because an old Node has to read it.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { resolve } from 'node:path'

const neededMajor = 24
const [script, ...args] = process.argv.slice(2)
const pinned = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url))

/** @param {string} why */
const giveUp = (why) => {
  process.stderr.write(`${why}\n`)
  process.exit(78)
}

if (script === undefined) giveUp('usage: node scripts/launch.mjs SCRIPT [ARGUMENT…]')
const file = resolve(script)
if (!existsSync(file)) giveUp(`launch: there is no ${script}`)

if (Number(process.versions.node.split('.')[0]) >= neededMajor) {
  process.argv.splice(1, 1, file)
  process.argv.splice(2, 1)
  await import(pathToFileURL(file).href)
} else if (!existsSync(pinned)) {
  giveUp(`launch: Node ${neededMajor} or newer is needed, this is ${process.versions.node}. "npm ci" brings one along.`)
} else {
  const child = spawn(pinned, [file, ...args], { stdio: 'inherit' })
  // A terminal sends Ctrl-C to the child itself; passing it on as well would make it two.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    })
  }
  child.on('error', (error) => giveUp(`launch: ${pinned} does not start: ${error.message}`))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(name)
    process.kill(process.pid, signal)
  })
}
