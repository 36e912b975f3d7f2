/** Runs a streamer in a process of its own, for the suite: it is killed there. Settings come as one JSON argument. */

import { isMillraceError } from '../errors/error.ts'
import { silentLogger } from '../log/logger.ts'
import { type JsonObject, parseExact } from '../message/json.ts'
import { descriptorWriter } from '../streamer/output.ts'
import { runStreamer } from '../streamer/run.ts'
import type { Streamer } from '../streamer/types.ts'

const { module, name, config, state } = parseExact(process.argv[2] ?? '{}') as JsonObject
const exported = Object.values((await import(String(module))) as Record<string, unknown>)
const streamer = exported.find(
  (v): v is Streamer => (v as Streamer | undefined)?.kind === 'streamer' && (v as Streamer).name === name,
)
if (streamer === undefined) throw new Error(`${module} exports no streamer called ${name}`)
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
try {
  await runStreamer(streamer, {
    command: 'sync',
    config: config as JsonObject,
    ...(state === undefined ? {} : { state }),
    log: silentLogger,
    signal: stop.signal,
    write: descriptorWriter(1),
  })
} catch (e) {
  process.stderr.write(`${isMillraceError(e) ? e.code : String(e)}\n`)
  process.exitCode = 1
}
