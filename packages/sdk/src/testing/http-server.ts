import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../http/types.ts'

/** A request as the server saw it. */
export interface SeenRequest {
  readonly method: string
  /** Path and query. */
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export interface TestServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  /** What was asked so far, in order. */
  readonly requests: readonly SeenRequest[]
  /** Ends it, with every connection. */
  close(): Promise<void>
}

/** An HTTP server on the loopback for a test; `answer` gets each request with its whole body read. */
export const startHttpServer = async (
  answer: (request: SeenRequest, response: ServerResponse) => void | Promise<void>,
  create: (listener: RequestListener) => ReturnType<typeof createServer> = createServer,
): Promise<TestServer> => {
  const requests: SeenRequest[] = []
  const server = create(async (request, response) => {
    const parts: Buffer[] = []
    try {
      for await (const chunk of request) parts.push(chunk as Buffer)
    } catch {
      return
    }
    const { method = '', url = '', headers } = request
    const seen = { method, url, headers, body: Buffer.concat(parts) }
    requests.push(seen)
    try {
      await answer(seen, response)
    } catch (e) {
      // The test fails by it; the client must not wait.
      response.destroy()
      throw e
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    if (!server.listening) return
    server.close()
    await once(server, 'close')
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** Answers with JSON. */
export const sendJson = (
  response: ServerResponse,
  body: unknown,
  options: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {},
): void => {
  response.writeHead(options.status ?? 200, { 'content-type': 'application/json', ...options.headers })
  response.end(typeof body === 'string' ? body : JSON.stringify(body))
}

/** A clock that stands still and jumps over each wait. */
export interface FakeClock extends Clock {
  /** The waits that were slept through, in milliseconds. */
  readonly slept: readonly number[]
}

export const fakeClock = (startMs: number = Date.UTC(2026, 0, 1), chance: number = 0): FakeClock => {
  let now = startMs
  const slept: number[] = []
  return {
    slept,
    now: () => now,
    random: () => chance,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted()
      slept.push(ms)
      now += ms
    },
  }
}
