/** What the runner's tests share: pipelines of fixture programs, in folders of their own. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JsonObject } from '@millrace/sdk'
import { adHocPipeline, type ExecEnd, type Pipeline, type PipelineEnd } from '../domain/pipeline.ts'
import { openStore } from '../store/open.ts'
import type { Store } from '../store/types.ts'
import { runPipeline } from './run-pipeline.ts'
import type { ConnectorCommands, RunEvent, RunOptions, RunOutcome } from './types.ts'

// Private folders of these runs only, whatever else runs on the machine.
const root = realpathSync(mkdtempSync(join(tmpdir(), 'millrace test é ')))
process.env['TMPDIR'] = root
process.on('exit', () => rmSync(root, { recursive: true, force: true }))

/** The path of a fixture program. */
export const fixture = (name: string): string => join(import.meta.dirname, 'fixtures', `${name}.mjs`)

/** A fixture as a foreign program. */
export const foreign = (name: string, config?: JsonObject): ExecEnd => ({
  kind: 'exec',
  exec: [process.execPath, fixture(name)],
  config,
  env: {},
})

/** A fixture as a connector of ours. */
export const connector = (name: string, config: JsonObject): PipelineEnd => ({
  kind: 'connector',
  name,
  config,
  env: {},
})

const commands: ConnectorCommands = {
  streamer: (name) => [process.execPath, fixture(name)],
  persister: (name) => [process.execPath, fixture(name)],
}

/** Waits until something is so; fails after ten seconds. */
export const eventually = async (what: string, is: () => boolean): Promise<void> => {
  const until = performance.now() + 10_000
  while (!is()) {
    if (performance.now() > until) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export interface Bench extends Disposable {
  readonly dir: string
  /** The file that the fixtures write to. */
  readonly path: string
  readonly store: Store
  readonly events: RunEvent[]
  /** Ids in the destination, in order. */
  ids(): readonly number[]
  /** Lines of the log of the last run. */
  logs(): readonly string[]
  run(
    ends: { readonly from: PipelineEnd; readonly to: PipelineEnd } & Partial<Pipeline>,
    options?: Partial<RunOptions>,
  ): Promise<RunOutcome>
}

/** A folder with a store in it. Disposing it fails where a private folder of a run was left. */
export const bench = (): Bench => {
  const dir = mkdtempSync(join(root, 'project '))
  const path = join(dir, 'out')
  const store = openStore(dir)
  const events: RunEvent[] = []
  return {
    dir,
    path,
    store,
    events,
    ids: () =>
      existsSync(path)
        ? readFileSync(path, 'utf8')
            .split('\n')
            .filter((l) => l !== '')
            .map(Number)
        : [],
    logs: () => events.flatMap((e) => (e.kind === 'log' ? [e.line] : [])),
    run: (ends, options = {}) => {
      events.length = 0
      const { onEvent, ...rest } = options
      return runPipeline({
        pipeline: adHocPipeline({ name: 'p', cwd: dir, ...ends }),
        store,
        commands,
        env: process.env,
        onEvent: (event) => {
          events.push(event)
          onEvent?.(event)
        },
        ...rest,
      })
    },
    [Symbol.dispose]: () => {
      store[Symbol.dispose]()
      rmSync(dir, { recursive: true })
    },
  }
}

/** Private folders of runs that exist now. */
export const privateFolders = (): readonly string[] =>
  readdirSync(tmpdir()).filter((n) => /^millrace-[A-Za-z0-9]{6}$/.test(n))
