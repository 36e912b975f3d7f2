/** Runs a persister in a process of its own, for the suite: it is killed there. Settings come as one JSON argument. */
import { writeSync } from 'node:fs'
import { resolveConfig } from '../config/resolve.ts'
import { isMillraceError, MillraceError } from '../errors/error.ts'
import { silentLogger } from '../log/logger.ts'
import { type JsonObject, parseExact } from '../message/json.ts'
import { runPersister } from '../persister/run.ts'
import type { Persister } from '../persister/types.ts'

const { module, name, config, flushRecords } = parseExact(process.argv[2] ?? '{}') as JsonObject
const exported = Object.values((await import(String(module))) as Record<string, unknown>)
const persister = exported.find(
  (v): v is Persister => (v as Persister | undefined)?.kind === 'persister' && (v as Persister).name === name,
)
if (persister === undefined) throw new Error(`${module} exports no persister called ${name}`)
try {
  await runPersister(persister, {
    config: resolveConfig(persister.config, { kind: 'persister', name: persister.name, file: config as JsonObject })
      .config,
    input: process.stdin,
    log: silentLogger,
    signal: new AbortController().signal,
    flushRecords: Number(flushRecords),
    writeState: (line) => {
      try {
        writeSync(1, line)
      } catch (e) {
        throw new MillraceError('PIPE_CLOSED', {}, { cause: e })
      }
    },
  })
} catch (e) {
  process.stderr.write(`${isMillraceError(e) ? e.code : (e as Error).stack}\n`)
  process.exitCode = 1
}
// Where the run failed, input may still come.
process.stdin.destroy()
