/**
 * A reporter of node:test that writes one JSON object a line for each end of a test, for scripts/test.ts to read.
 * Suites and tests with subtests are told only where they failed by themselves (a hook, a plan).
 */

/** One ended test, as the reporter writes it. */
export interface Ended {
  readonly name: string
  readonly result: 'passed' | 'failed' | 'skipped'
  /** Why it was skipped; empty where no reason was given. */
  readonly reason?: string
  /** What a failing test said: message and the lines of the stack that are not Node's own. */
  readonly error?: string
}

interface TestEvent {
  readonly type: string
  readonly data: {
    readonly name: string
    readonly nesting: number
    readonly skip?: string | boolean
    readonly todo?: string | boolean
    readonly details?: { readonly type?: string; readonly error?: Error & { failureType?: string; cause?: unknown } }
  }
}

const explain = (error: (Error & { cause?: unknown }) | undefined): string => {
  const cause = error?.cause instanceof Error ? error.cause : error
  if (cause === undefined) return 'failed without an error'
  if (!(cause instanceof Error)) return String(cause)
  const stack = (cause.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line) && !line.includes('node:'))
  const inner = cause.cause instanceof Error ? [`caused by: ${cause.cause.message}`] : []
  return [cause.message, ...inner, ...stack.slice(0, 6)].join('\n')
}

const endOf = (event: TestEvent, path: readonly string[]): Ended | undefined => {
  const { data } = event
  const name = [...path.slice(0, data.nesting), data.name].join(' › ')
  const why = (mark: string | boolean): string => (typeof mark === 'string' ? mark : '')
  if (event.type === 'test:fail' && data.todo === undefined) {
    if (data.details?.error?.failureType === 'subtestsFailed') return undefined
    return { name, result: 'failed', error: explain(data.details?.error) }
  }
  if (data.todo !== undefined && data.todo !== false)
    return { name, result: 'skipped', reason: `todo ${why(data.todo)}`.trim() }
  if (data.skip !== undefined && data.skip !== false) return { name, result: 'skipped', reason: why(data.skip) }
  return data.details?.type === 'suite' ? undefined : { name, result: 'passed' }
}

export default async function* reporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const path: string[] = []
  for await (const event of source) {
    if (event.type === 'test:start') path[event.data.nesting] = event.data.name
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue
    const ended = endOf(event, path)
    if (ended !== undefined) yield `${JSON.stringify(ended)}\n`
  }
}
