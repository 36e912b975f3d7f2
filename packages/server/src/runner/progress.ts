import type { ProgressReport } from '@millrace/sdk'
import type { Metric } from './reports.ts'
import type { ProgressEvent } from './types.ts'

/** Turns reports (since the start, waits since the last one) into events with rates. */
export class ProgressMeter {
  readonly #now: () => number
  readonly #start: number
  #last: { readonly at: number; readonly records: number; readonly bytes: number }
  readonly #counted: Record<string, { received: number; stored: number }> = {}

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
    this.#start = now()
    this.#last = { at: this.#start, records: 0, bytes: 0 }
  }

  fromReport(report: ProgressReport): ProgressEvent {
    const spent = Math.max(1, report.waitingMs + report.writingMs, this.#now() - this.#last.at)
    return this.#event(report.substreams, report.bytes, {
      waitingShare: Math.min(1, report.waitingMs / spent),
      writingShare: Math.min(1, report.writingMs / spent),
    })
  }

  /** What a foreign streamer counts by itself; undefined for a measurement of something else. */
  fromMetric(metric: Metric): ProgressEvent | undefined {
    if (metric.metric !== 'record_count') return undefined
    const name = String(metric.tags['stream'] ?? metric.tags['endpoint'] ?? '')
    const received = (this.#counted[name]?.received ?? 0) + metric.value
    this.#counted[name] = { received, stored: 0 }
    return this.#event(this.#counted, 0, { waitingShare: 0, writingShare: 0 })
  }

  #event(
    substreams: ProgressEvent['substreams'],
    bytes: number,
    shares: Pick<ProgressEvent, 'waitingShare' | 'writingShare'>,
  ): ProgressEvent {
    const at = this.#now()
    const records = Object.values(substreams).reduce((n, s) => n + s.received, 0)
    const seconds = Math.max(0.001, (at - this.#last.at) / 1000)
    const event: ProgressEvent = {
      kind: 'progress',
      elapsedMs: at - this.#start,
      substreams: Object.fromEntries(
        Object.entries(substreams).map(([name, s]) => [name, { received: s.received, stored: s.stored }]),
      ),
      records,
      bytes,
      recordsPerSecond: Math.max(0, (records - this.#last.records) / seconds),
      bytesPerSecond: Math.max(0, (bytes - this.#last.bytes) / seconds),
      ...shares,
    }
    this.#last = { at, records, bytes }
    return event
  }
}
