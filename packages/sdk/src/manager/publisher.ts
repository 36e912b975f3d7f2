/**
 * Sends lines into a stream over one connection after another, so that each is in the stream once whatever happens to connections and
 * managers. The publisher has a name of its own; a line's place is its number among all that this name ever sent. What is not
 * acknowledged yet is kept, and after a lost connection the manager is asked how many it has.
 *
 *     connecting: asks how many are there, drops those, opens a request, sends what is left  → open
 *     open:       lines go out as they come; acknowledgements come back                      → connecting (lost), ended
 */
import type { ClientRequest, IncomingMessage } from 'node:http'
import { isMillraceError, type MillraceError, toMillraceError } from '../errors/error.ts'
import { type ManagerClient, pathOf, problemFrom, reasonOf, unavailable } from './client.ts'

const NEWLINE = 10

export interface PublisherOptions {
  readonly stream: string
  /** A name that nobody else uses: letters, digits and what else is visible in ASCII, at most 100. */
  readonly writer: string
  /** Of each line. Left out: JSON. */
  readonly contentType?: string | undefined
  /** Bytes that may be on their way without an acknowledgement. Default 8 MiB. */
  readonly maxUnacknowledged?: number
  /** How long a manager may be gone before it is given up, milliseconds. Default 60,000. */
  readonly patienceMs?: number
  readonly signal?: AbortSignal | undefined
  /** Told when it has to connect again, and why. */
  readonly onLost?: (why: MillraceError) => void
  /** Told how many lines are in the stream now. */
  readonly onDurable?: (lines: number) => void
}

interface Pending {
  readonly bytes: Uint8Array
  readonly lines: number
}

/** What was published. */
export interface PublishedLines {
  readonly lines: number
  /** Where they are, as far as this was told: after a lost connection the first may not be known. */
  readonly next: number | undefined
}

const countLines = (bytes: Uint8Array): number => {
  let n = 0
  for (let i = bytes.indexOf(NEWLINE); i >= 0; i = bytes.indexOf(NEWLINE, i + 1)) n++
  return n
}

/** Behind the first `lines` lines. */
const behind = (bytes: Uint8Array, lines: number): number => {
  let at = 0
  for (let i = 0; i < lines; i++) at = bytes.indexOf(NEWLINE, at) + 1
  return at
}

/**
 * Publishes blocks of whole lines, each line with its newline, none of them blank. Resolves when all are durable. Throws what the
 * manager refuses, and MANAGER_UNAVAILABLE where it stays away for too long; `onDurable` said how many are in the stream.
 */
export const publishLines = async (
  client: ManagerClient,
  blocks: AsyncIterable<Uint8Array>,
  options: PublisherOptions,
): Promise<PublishedLines> => await new Publisher(client, options).run(blocks)

class Publisher {
  readonly #client: ManagerClient
  readonly #options: PublisherOptions
  /** Sent or to be sent, not acknowledged; the first begins at line #acknowledged. */
  #unacknowledged: Pending[] = []
  #bytes = 0
  #acknowledged = 0
  /** Lines that the source gave. A writer that returns may have published some of them before they are given again. */
  #given = 0
  #next: number | undefined
  #isFinished = false
  #connection: Connection | undefined
  #wake: () => void = () => {}

  constructor(client: ManagerClient, options: PublisherOptions) {
    this.#client = client
    this.#options = options
  }

  async run(blocks: AsyncIterable<Uint8Array>): Promise<PublishedLines> {
    const sending = this.#keepSending()
    sending.catch(() => this.#wake())
    // Where the source of blocks fails, what it gave before is still published.
    const fed = this.#feed(blocks).then(
      () => undefined,
      (e: unknown) => ({ e }),
    )
    // A source that waits is not waited for when sending has failed.
    await Promise.race([fed, sending])
    await sending
    const failed = await fed
    if (failed !== undefined) throw failed.e
    return { lines: this.#durable, next: this.#next }
  }

  async #feed(blocks: AsyncIterable<Uint8Array>): Promise<void> {
    const max = this.#options.maxUnacknowledged ?? 8 * 1024 * 1024
    try {
      for await (const block of blocks) {
        if (this.#isFinished) return
        const left = this.#unpublished(block)
        if (left === undefined) continue
        this.#unacknowledged.push(left)
        this.#bytes += left.bytes.length
        this.#connection?.send(left.bytes)
        while (this.#bytes > max && !this.#isFinished)
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
      }
      this.#isFinished = true
      this.#connection?.end()
    } catch (e) {
      this.#isFinished = true
      this.#connection?.end()
      throw e
    }
  }

  /** What of a block the stream has not got yet, as far as that is known. */
  #unpublished(block: Uint8Array): Pending | undefined {
    const lines = countLines(block)
    const there = Math.min(lines, Math.max(0, this.#acknowledged - this.#given))
    this.#given += lines
    if (there === 0) return { bytes: block, lines }
    this.#options.onDurable?.(this.#durable)
    return there === lines ? undefined : { bytes: block.subarray(behind(block, there)), lines: lines - there }
  }

  /** Of the lines that were given, those that are in the stream. */
  get #durable(): number {
    return Math.min(this.#acknowledged, this.#given)
  }

  async #keepSending(): Promise<void> {
    const patience = this.#options.patienceMs ?? 60_000
    let goneSince: number | undefined
    let waitMs = 50
    for (;;) {
      this.#options.signal?.throwIfAborted()
      try {
        await this.#connect(() => {
          goneSince = undefined
          waitMs = 50
        })
        return
      } catch (e) {
        this.#connection = undefined
        this.#options.signal?.throwIfAborted()
        const error = toMillraceError(e)
        goneSince ??= performance.now()
        if (error.retry !== 'later' || performance.now() - goneSince > patience) {
          this.#isFinished = true
          throw error
        }
        this.#options.onLost?.(error)
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs))
      waitMs = Math.min(waitMs * 2, 2_000)
    }
  }

  /** Sends all there is over one connection; resolves at the end of everything. */
  async #connect(answered: () => void): Promise<void> {
    const { stream, writer, contentType } = this.#options
    const { records } = await this.#client.call('getWriter', { params: { stream, writer } })
    this.#settle(records)
    answered()
    const connection = new Connection()
    await connection.open(this.#client, {
      path: pathOf('publish', { params: { stream }, query: contentType === undefined ? {} : { split: 'lines' } }),
      headers: {
        'content-type': contentType ?? 'application/x-ndjson',
        accept: 'application/x-ndjson',
        'millrace-writer': writer,
        'millrace-sent': String(this.#acknowledged),
      },
      signal: this.#options.signal,
    })
    for (const { bytes } of this.#unacknowledged) connection.send(bytes)
    this.#connection = connection
    if (this.#isFinished) connection.end()
    const base = this.#acknowledged
    await connection.answers((line) => {
      answered()
      if (typeof line.next === 'number' && line.repeated !== true) this.#next = line.next
      if (typeof line.records === 'number') this.#settle(base + line.records)
    })
  }

  /** So many lines are in the stream; those of them that were not given yet are left out when they are. */
  #settle(lines: number): void {
    let left = lines - this.#acknowledged
    if (left <= 0) return
    this.#acknowledged = lines
    while (left > 0) {
      const [first] = this.#unacknowledged
      if (first === undefined) break
      if (first.lines > left) {
        const at = behind(first.bytes, left)
        this.#unacknowledged[0] = { bytes: first.bytes.subarray(at), lines: first.lines - left }
        this.#bytes -= at
        break
      }
      this.#unacknowledged.shift()
      this.#bytes -= first.bytes.length
      left -= first.lines
    }
    this.#options.onDurable?.(this.#durable)
    this.#wake()
  }
}

interface AnswerLine {
  readonly next?: number | null
  readonly records?: number
  readonly repeated?: boolean
  readonly done?: boolean
  readonly error?: { readonly status: number }
}

/** Between two signs of life of a body in which nothing comes. */
const signOfLifeMs = 15_000

class Connection {
  #request: ClientRequest | undefined
  #response: Promise<IncomingMessage> | undefined
  #url = ''
  #timer: NodeJS.Timeout | undefined

  async open(
    client: ManagerClient,
    how: {
      readonly path: string
      readonly headers: Readonly<Record<string, string>>
      readonly signal: AbortSignal | undefined
    },
  ): Promise<void> {
    const authorization = `Bearer ${await client.token(how.signal)}`
    this.#url = client.url
    const url = client.url + how.path
    // Loaded here: as an import of the sdk they would cost every program a tenth of a second of its start.
    const { request: send } = await import(url.startsWith('https:') ? 'node:https' : 'node:http')
    const request: ClientRequest = send(url, {
      method: 'POST',
      headers: { ...how.headers, authorization },
      ...client.tls,
      ...(how.signal === undefined ? {} : { signal: how.signal }),
    })
    this.#request = request
    this.#response = new Promise((resolve, reject) => {
      request.once('response', resolve)
      request.once('error', reject)
    })
    this.#response.catch(() => {})
    request.on('error', () => {})
    request.flushHeaders()
    this.#timer = setInterval(() => request.write('\n'), signOfLifeMs)
    this.#timer.unref()
  }

  send(bytes: Uint8Array): void {
    this.#request?.write(bytes)
    this.#timer?.refresh()
  }

  end(): void {
    clearInterval(this.#timer)
    this.#request?.end()
  }

  /** The lines of the answer, until the one that says that all is done. Throws what the manager tells, and where it is cut off. */
  async answers(take: (line: AnswerLine) => void): Promise<void> {
    try {
      const response = await (this.#response as Promise<IncomingMessage>)
      response.setEncoding('utf8')
      let text = ''
      if (response.statusCode !== 200) {
        for await (const chunk of response) text += chunk as string
        throw problemFrom(text, response.statusCode ?? 0, this.#url)
      }
      for await (const chunk of response) {
        text += chunk as string
        const lines = text.split('\n')
        text = lines.pop() ?? ''
        for (const one of lines) {
          const line = JSON.parse(one) as AnswerLine
          if (line.error !== undefined) throw problemFrom(JSON.stringify(line.error), line.error.status, this.#url)
          take(line)
          if (line.done === true) return
        }
      }
      throw unavailable(this.#url, 'it closed the connection')
    } catch (e) {
      if (isMillraceError(e)) throw e
      throw unavailable(this.#url, reasonOf(e), e)
    } finally {
      clearInterval(this.#timer)
      this.#request?.destroy()
    }
  }
}
