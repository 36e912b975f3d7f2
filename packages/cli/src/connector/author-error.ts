import { pathToFileURL } from 'node:url'
import { isMillraceError, MillraceError, systemCode } from '@millrace/sdk'
import { type Connector, fileOf } from './find.ts'

/**
 * An error that came out of an author's own module, said as theirs: which file, and where in it. Everything else, and what
 * our connectors throw, stays as it is.
 */
export const authorError = (e: unknown, connector: Connector): unknown => {
  const file = fileOf(connector)
  if (file === undefined || isMillraceError(e) || !(e instanceof Error)) return e
  // A path that cannot be used is told better by what it is.
  if (systemCode(e) !== undefined && typeof (e as { path?: unknown }).path === 'string') return e
  const where = /^:(\d+)/.exec((e.stack ?? '').split(pathToFileURL(file).href)[1] ?? '')?.[1]
  return new MillraceError(
    'INTERNAL',
    {
      what: `${connector.kind} ${connector.name}`,
      why: e.message.split('\n')[0] || e.name,
      fix: `Look at ${file}${where === undefined ? '' : `, line ${where}`}; MILLRACE_DEBUG=1 shows the whole trace.`,
    },
    { cause: e },
  )
}
