/** Follows a stream over one connection after another: each record once, in order, whatever happens to connections and managers. */
import { isMillraceError, type MillraceError, toMillraceError } from '@millrace/sdk'
import {
  type ManagerClient,
  problemFrom,
  readEvents,
  reasonOf,
  type StreamEvent,
  unavailable,
} from '@millrace/sdk/manager'

export interface FollowOptions {
  readonly stream: string
  readonly from: string
  readonly form: 'record' | 'body'
  readonly signal: AbortSignal
  /** Told when it has to connect again, and why. */
  readonly onLost: (why: MillraceError) => void
}

/** Without a sign of life; a manager gives one every ten seconds. */
const silenceMs = 35_000

/** Events, those that came together at once; ends when `signal` aborts. Throws what the manager refuses; an absent one is waited for. */
export const followEvents = async function* (
  client: ManagerClient,
  options: FollowOptions,
): AsyncGenerator<readonly StreamEvent[]> {
  const { stream, form, signal } = options
  let from = options.from
  let waitMs = 50
  let wasConnected = false
  while (!signal.aborted) {
    const silent = new AbortController()
    let timer = setTimeout(() => silent.abort(), silenceMs)
    const end = AbortSignal.any([signal, silent.signal])
    try {
      const response = await client.send(
        'follow',
        { params: { stream }, query: { from, form }, signal: end } as never,
        {
          headers: { accept: 'text/event-stream' },
        },
      )
      wasConnected = true
      waitMs = 50
      const body = response.body as unknown as AsyncIterable<Uint8Array>
      const alive = (async function* () {
        for await (const chunk of body) {
          timer.refresh()
          yield chunk
        }
      })()
      for await (const events of readEvents(alive)) {
        const problem = events.find((e) => e.type === 'problem')
        const records = events.filter((e) => e.id !== undefined)
        const last = records.at(-1)?.id
        if (records.length > 0) yield records
        if (last !== undefined) from = `offset:${BigInt(last) + 1n}`
        if (problem !== undefined) throw problemFrom(problem.data, 0, client.url)
      }
      throw unavailable(client.url, 'it closed the connection')
    } catch (e) {
      if (signal.aborted) return
      const error = isMillraceError(e)
        ? e
        : unavailable(client.url, silent.signal.aborted ? 'it is silent' : reasonOf(e), e)
      // A manager that was never there is a mistake; one that was comes back.
      if (error.retry !== 'later' || !wasConnected) throw toMillraceError(error)
      options.onLost(error)
    } finally {
      clearTimeout(timer)
    }
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        resolve()
      }
      timer = setTimeout(done, waitMs)
      signal.addEventListener('abort', done, { once: true })
    })
    waitMs = Math.min(waitMs * 2, 2_000)
  }
}
