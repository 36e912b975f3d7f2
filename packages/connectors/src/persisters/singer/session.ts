/**
 * Records to a Singer target. The target runs from the first message until a flush, which ends its input and waits for its
 * exit code 0: then all it read is durable. In between it answers states with lines on its stdout ({@link StateAcknowledger}).
 * After a flush the next message starts another one, which is given the schemas again.
 */
import {
  Lines,
  type MessageOf,
  MessageWriter,
  MillraceError,
  type PersisterContext,
  type PersisterSession,
  type RecordLines,
  type RecordMessage,
  type SchemaMessage,
  type StateAcknowledger,
} from '@millrace/sdk'
import { PrivateFiles } from '../../singer/private-files.ts'
import { type Ending, Program } from '../../singer/program.ts'
import { programConfig } from '../../singer/settings.ts'
import type { SingerTargetSettings } from './index.ts'

/** A longer state is refused. */
const maxStateBytes = 64 * 1024 * 1024
/** What is handed to the target's stdin at once. */
const pieceBytes = 256 * 1024

export class SingerTarget implements PersisterSession, StateAcknowledger {
  readonly wantsWhole = true
  readonly flushAnswers: boolean
  readonly #command: readonly string[]
  readonly #relay: ((line: string) => void) | undefined
  readonly #files = new PrivateFiles()
  readonly #configFile: string | undefined
  readonly #config: ReturnType<typeof programConfig>['value']
  readonly #schemas = new Map<string, SchemaMessage>()
  #writer = new MessageWriter()
  #target: RunningTarget | undefined
  #disposed = false
  #onState: (text: string) => void = () => {}
  #onEnd: (error: Error) => void = () => {}

  constructor(ctx: PersisterContext, settings: SingerTargetSettings) {
    this.#relay = ctx.relay
    this.flushAnswers = settings.acknowledge === 'exit'
    const { command, value, file } = programConfig(settings, 'persister singer')
    this.#command = command
    this.#config = value
    this.#configFile =
      file ?? (value === undefined ? undefined : this.#files.write('config.json', JSON.stringify(value)))
  }

  get states(): StateAcknowledger {
    return this
  }

  listen(onState: (text: string) => void, onEnd: (error: Error) => void): void {
    this.#onState = onState
    this.#onEnd = onEnd
  }

  async pass(text: string): Promise<void> {
    this.#writer.add({ type: 'STATE', text, line: 0 })
    await this.#send()
  }

  async declare(schema: SchemaMessage): Promise<void> {
    const isNew = !this.#isRunning
    this.#schemas.set(schema.stream, schema)
    // A target that begins is given every schema known, this one among them.
    if (!isNew) this.#writer.add(schema)
    await this.#send()
  }

  async write(_substream: string, records: readonly RecordMessage[]): Promise<void> {
    for (const record of records) {
      this.#writer.add(record)
      if (this.#writer.pending >= pieceBytes) await this.#send()
    }
    await this.#send()
  }

  /** Lines of a tap go on as they came: what is in them besides is the target's to read. */
  async writeLines(_substream: string, { whole }: RecordLines): Promise<void> {
    if (whole === undefined) throw new MillraceError('INTERNAL', { why: 'records came without their lines' })
    await (await this.#send()).write(whole.bytes)
  }

  async activateVersion(message: MessageOf<'ACTIVATE_VERSION'>): Promise<void> {
    this.#writer.add(message)
    await this.#send()
  }

  async flush(): Promise<void> {
    const target = this.#target
    if (target === undefined) return
    await target.finish()
    this.#target = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    await this.#target?.kill()
    this.#files[Symbol.dispose]()
  }

  get #isRunning(): boolean {
    return this.#target !== undefined
  }

  /** Hands over what waits, to a target that is started where none runs. */
  async #send(): Promise<RunningTarget> {
    if (this.#disposed) throw new MillraceError('INTERNAL', { why: 'the session is disposed of' })
    const waiting = this.#writer.take()
    if (this.#target === undefined) {
      this.#target = this.#start()
      const first = new MessageWriter()
      for (const schema of this.#schemas.values()) first.add(schema)
      await this.#target.write(first.take())
    }
    if (waiting.length > 0) await this.#target.write(waiting)
    return this.#target
  }

  #start(): RunningTarget {
    const program = new Program({
      role: 'target',
      command: this.#command,
      args: this.#configFile === undefined ? [] : ['--config', this.#configFile],
      config: this.#config,
      stdin: 'pipe',
      stdout: 'pipe',
      relay: this.#relay,
    })
    return new RunningTarget(program, { onState: (text) => this.#onState(text), onEnd: (e) => this.#onEnd(e) })
  }
}

/** A target between its start and its end. */
class RunningTarget {
  readonly #program: Program
  readonly #gone: Promise<MillraceError | undefined>
  #closing = false
  #failure: MillraceError | undefined

  constructor(
    program: Program,
    hear: { readonly onState: (text: string) => void; readonly onEnd: (error: Error) => void },
  ) {
    this.#program = program
    const { stdin, stdout } = program.process
    // How it ended is told by its exit, not by its pipes.
    stdin?.on('error', () => {})
    const lines = new Lines(
      {
        maxBytes: maxStateBytes,
        tooLong: 'refuse',
        onTooLong: () => {
          this.#failure = new MillraceError('STATE_TOO_LARGE', {
            source: `${program.what}:`,
            bytes: maxStateBytes,
            maxBytes: maxStateBytes,
          })
          program.kill('SIGKILL')
        },
      },
      (line) => {
        const text = line.trim()
        if (text === '') return
        if (isJson(text)) return hear.onState(text)
        this.#failure ??= new MillraceError('STATE_UNREADABLE', {
          source: `that ${program.what} printed`,
          why: 'it is not JSON',
        })
        program.kill('SIGKILL')
      },
    )
    const read = new Promise<void>((resolve) => {
      stdout?.on('data', (chunk: Buffer) => lines.push(chunk))
      stdout?.on('error', () => {})
      stdout?.once('close', resolve)
      if (stdout === null) resolve()
    })
    this.#gone = this.#end(read, lines, hear.onState).then((failure) => {
      if (failure !== undefined && !this.#closing) hear.onEnd(failure)
      return failure
    })
  }

  async #end(read: Promise<void>, lines: Lines, onState: (text: string) => void): Promise<MillraceError | undefined> {
    let ending: Ending
    try {
      ending = await this.#program.ended
    } catch (e) {
      return e as MillraceError
    }
    await read
    // A last line without its newline is whole only where its writer was.
    const rest = lines.rest()?.trim()
    if (ending.code === 0 && rest !== undefined && rest !== '' && isJson(rest)) onState(rest)
    if (this.#failure !== undefined) return this.#failure
    if (ending.code === 0 && !this.#closing)
      return new MillraceError('PROCESS_FAILED', {
        what: this.#program.what,
        why: 'exit code 0 before its input came to its end',
      })
    return this.#program.failure(ending)
  }

  /** Resolves when its pipe has taken all of the bytes. Throws its failure where it is gone. */
  async write(bytes: Buffer): Promise<void> {
    const { stdin } = this.#program.process
    if (bytes.length === 0) return
    if (stdin?.writable !== true) throw await this.#whyGone()
    const isTaken = await new Promise<boolean>((resolve) =>
      stdin.write(bytes, (error) => resolve(error === null || error === undefined)),
    )
    // A pipe that was closed under a write may answer that write well.
    if (!isTaken || !stdin.writable) throw await this.#whyGone()
  }

  async #whyGone(): Promise<MillraceError> {
    return (
      (await this.#gone) ??
      new MillraceError('PROCESS_FAILED', {
        what: this.#program.what,
        why: 'exit code 0 before its input came to its end',
      })
    )
  }

  /** Ends its input and waits for its end. Throws its failure. */
  async finish(): Promise<void> {
    this.#closing = true
    this.#program.process.stdin?.end()
    const failure = await this.#gone
    if (failure !== undefined) throw failure
  }

  async kill(): Promise<void> {
    this.#closing = true
    this.#program.kill('SIGKILL')
    this.#program.process.stdin?.destroy()
    await this.#gone
  }
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
