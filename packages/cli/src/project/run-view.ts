/**
 * What a person sees of a run while it goes: a block that is repainted on a terminal, lines of the log elsewhere.
 */
import type { LogFields } from '@millrace/sdk'
import { endName, type Pipeline, type ProgressEvent, type RunEvent } from '@millrace/server'
import type { CommandContext } from '../command/context.ts'
import { count, counted, duration, size } from '../terminal/format.ts'
import { ProgressBlock } from '../terminal/progress.ts'
import { canRepaint, type Style } from '../terminal/style.ts'
import { oneLine, pad, widthOf } from '../terminal/width.ts'

/** Progress that nobody looks at is logged this seldom, in milliseconds. */
const logEveryMs = 5_000

export interface RunView {
  readonly onEvent: (event: RunEvent) => void
  /** Takes the block away. */
  readonly end: () => void
}

export const createRunView = (pipeline: Pipeline, context: CommandContext): RunView => {
  const repaints = canRepaint(process.stderr, context.env) && !context.quiet && context.logFormat === 'text'
  return repaints ? paintedView(pipeline, context) : loggedView(pipeline, context)
}

const paintedView = (pipeline: Pipeline, context: CommandContext): RunView => {
  const block = new ProgressBlock(process.stderr, true)
  const style = context.wordStyle
  const isLoud = (level: string): boolean => level === 'warn' || level === 'error'
  return {
    onEvent: (event) => {
      switch (event.kind) {
        case 'started':
          block.show([`${style.bold(`${endName(pipeline.from)} → ${endName(pipeline.to)}`)}  starting`])
          return
        case 'progress':
          block.show(progressLines(pipeline, event, style))
          return
        case 'log':
          if (isLoud(event.level) && !isLastWord(event.line))
            block.above(`${style.dim(`${event.side}:`)} ${plainLine(event.line)}\n`)
          return
        case 'dead-letters':
          block.above(`${style.yellow(counted(event.count, 'record'))} set aside\n`)
          return
        case 'stopping':
          block.above(`${style.yellow('stopping')}: ${event.why}\n`)
          return
        default:
          return
      }
    },
    end: () => block.end(),
  }
}

/** The block: totals, one line for each substream, and which side waits for which. */
export const progressLines = (pipeline: Pipeline, p: ProgressEvent, style: Style): readonly string[] => {
  const names = Object.keys(p.substreams)
  const width = Math.max(...names.map(widthOf), 8)
  return [
    `${style.bold(`${endName(pipeline.from)} → ${endName(pipeline.to)}`)}  ${duration(p.elapsedMs)}  ${counted(p.records, 'record')}  ${count(Math.round(p.recordsPerSecond))}/s  ${size(Math.round(p.bytesPerSecond))}/s`,
    ...Object.entries(p.substreams).map(
      ([name, s]) =>
        `  ${pad(oneLine(name), width)}  ${pad(count(s.received), 11, 'left')} received  ${pad(count(s.stored), 11, 'left')} stored`,
    ),
    style.dim(`  ${waitingWords(p)}`),
  ]
}

/** Which side the other one waits for. */
const waitingWords = ({ waitingShare, writingShare }: ProgressEvent): string => {
  const percent = (share: number): string => `${Math.round(share * 100)} %`
  if (waitingShare > 0.5) return `the persister waits for the streamer (${percent(waitingShare)} of the time)`
  if (writingShare > 0.5) return `the streamer waits for the persister (it writes ${percent(writingShare)} of the time)`
  return 'both sides are at work'
}

const loggedView = (pipeline: Pipeline, context: CommandContext): RunView => {
  let log = context.log.with({ pipeline: pipeline.name })
  let logged = 0
  return {
    onEvent: (event) => {
      switch (event.kind) {
        case 'started':
          log = log.with({ run: event.run })
          log.info('run started', { mode: event.mode })
          return
        case 'progress':
          if (event.elapsedMs - logged < logEveryMs) return
          logged = event.elapsedMs
          log.info('under way', {
            records: event.records,
            bytes: event.bytes,
            recordsPerSecond: Math.round(event.recordsPerSecond),
            bytesPerSecond: Math.round(event.bytesPerSecond),
            waitingShare: Math.round(event.waitingShare * 100) / 100,
            writingShare: Math.round(event.writingShare * 100) / 100,
          })
          return
        case 'state':
          log.debug('state accepted', { stored: event.stored })
          return
        case 'dead-letters':
          log.warn('records were set aside', { count: event.count })
          return
        case 'log': {
          const { message, fields } = saidIn(event.line)
          log[isLastWord(event.line) ? 'debug' : event.level](message, { ...fields, side: event.side })
          return
        }
        case 'stopping':
          log.info('stopping', { why: event.why })
          return
        default:
          return
      }
    },
    end: () => {},
  }
}

/** Why one of our own programs ended: the run says it itself, with its fix. */
const isLastWord = (line: string): boolean => /^\{"time".*"level":"error".*"exit":\d+\}$/.test(line)

/** What a log line says: the message and fields of a JSON line, any other line as it is. */
const saidIn = (line: string): { readonly message: string; readonly fields: LogFields } => {
  if (!line.startsWith('{'))
    return { message: oneLine(line.replace(/^(DEBUG|INFO|WARNING|CRITICAL|ERROR) /, '')), fields: {} }
  try {
    const { time: _time, level: _level, message, ...fields } = JSON.parse(line) as Record<string, unknown>
    if (typeof message !== 'string') return { message: oneLine(line), fields: {} }
    return {
      message: oneLine(message),
      fields: Object.fromEntries(
        Object.entries(fields).map(([k, v]) => [
          k,
          typeof v === 'number' || typeof v === 'boolean' ? v : oneLine(typeof v === 'string' ? v : JSON.stringify(v)),
        ]),
      ),
    }
  } catch {
    return { message: oneLine(line), fields: {} }
  }
}

/** The same as one line for a person. */
const plainLine = (line: string): string => {
  const { message, fields } = saidIn(line)
  return `${message}${Object.entries(fields)
    .map(([k, v]) => ` ${k}=${v}`)
    .join('')}`
}
