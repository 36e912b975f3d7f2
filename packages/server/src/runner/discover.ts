import { encodeJson, isObject, type JsonObject, MillraceError, parseExact } from '@millrace/sdk'
import { applySelection } from '../domain/selection.ts'
import { ask } from './ask.ts'
import { PrivateFolder } from './private-folder.ts'
import { endName } from '../domain/pipeline.ts'
import { programOf, resolveSide } from './program.ts'
import type { ProgramOptions } from './types.ts'

export interface DiscoverOptions extends ProgramOptions {
  readonly signal?: AbortSignal | undefined
  readonly graceMs?: number
  readonly onLog?: (line: string) => void
}

/**
 * Asks the streamer of a pipeline what there is: its catalog, with the pipeline's selection written into it. Throws
 * CATALOG_INVALID where the answer is none or the selection names what is not there, and what `ask` throws.
 */
export const discoverCatalog = async (options: DiscoverOptions): Promise<JsonObject> => {
  const { pipeline } = options
  if (
    pipeline.from.kind === 'exec' &&
    typeof pipeline.from.exec === 'string' &&
    !pipeline.from.exec.includes('MILLRACE_COMMAND')
  )
    throw new MillraceError('CATALOG_INVALID', {
      file: `of ${endName(pipeline.from)}`,
      why: 'a shell command is not asked for its catalog: write "exec" as a list, or leave out "select"',
    })
  using folder = new PrivateFolder()
  const program = programOf(options, resolveSide(options, 'from'), folder, {
    side: 'streamer',
    command: 'discover',
    files: {},
  })
  const text = await ask(program, folder, {
    signal: options.signal,
    graceMs: options.graceMs ?? 10_000,
    ...(options.onLog === undefined ? {} : { onLog: options.onLog }),
  })
  let catalog: unknown
  try {
    catalog = parseExact(text)
  } catch {
    catalog = undefined
  }
  if (!isObject(catalog) || !Array.isArray(catalog['streams']))
    throw new MillraceError('CATALOG_INVALID', { file: `of ${program.what}`, why: 'what it printed is not a catalog' })
  if (pipeline.select === undefined) return catalog
  const selected = applySelection(catalog, pipeline.select)
  if (selected.problems.length > 0)
    throw new MillraceError('CATALOG_INVALID', { file: `of ${program.what}`, why: selected.problems.join('; ') })
  return selected.catalog
}

/** A catalog as the text of its file. */
export const catalogText = (catalog: JsonObject): string => encodeJson(catalog)
