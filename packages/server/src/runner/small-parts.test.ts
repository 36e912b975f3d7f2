import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Lines, reasonIn, Tail } from '@millrace/sdk'
import { childEnvironment } from './environment.ts'
import { describeExit, diedOfClosedPipe, type ExitReport, exitCodeFor, retryOfExit } from './exit-report.ts'
import { ProgressMeter } from './progress.ts'
import { levelOf, parseMetric, parseReport } from './reports.ts'

test('lines, whatever the chunks', () => {
  const text = Buffer.from('one\r\n\u00e9\u4e2d\n\nlong line here\nrest')
  for (let size = 1; size <= text.length; size++) {
    const got: string[] = []
    const lines = new Lines({ maxBytes: 9, tooLong: 'cut' }, (l) => got.push(l))
    for (let i = 0; i < text.length; i += size) lines.push(text.subarray(i, i + size))
    assert.deepEqual([...got, lines.rest()], ['one', '\u00e9\u4e2d', '', 'long line', 'rest'], `chunks of ${size}`)
  }
  let refused = 0
  const got: string[] = []
  const lines = new Lines({ maxBytes: 3, tooLong: 'refuse', onTooLong: () => refused++ }, (l) => got.push(l))
  for (const chunk of ['abc\n', 'ab', 'cd', '\nx\n']) lines.push(Buffer.from(chunk))
  assert.deepEqual([got, refused], [['abc'], 1])
})

test('the tail of a log is bounded in lines and in bytes', () => {
  const tail = new Tail()
  for (let i = 0; i < 1000; i++) tail.add(`line ${i}`)
  assert.equal(String(tail).split('\n').length, 50)
  assert.ok(String(tail).endsWith('line 999'))
  for (let i = 0; i < 10; i++) tail.add('x'.repeat(10_000))
  assert.ok(String(tail).length <= 20_001)
})

test('endings in words, by table', () => {
  const failed = (code: number, stderrTail = ''): ExitReport => ({
    why: 'failed',
    code,
    retry: retryOfExit(code),
    stderrTail,
  })
  for (const [report, words] of [
    [{ why: 'finished' }, 'exit code 0'],
    [failed(3), 'exit code 3'],
    [failed(3, 'a\nCRITICAL b\n  at c'), 'exit code 3: CRITICAL b'],
    [{ why: 'signalled', signal: 'SIGSEGV', stderrTail: 'last' }, 'signal SIGSEGV: last'],
    [{ why: 'stopped', forced: true }, 'being killed, as it did not stop when asked'],
  ] as const)
    assert.equal(describeExit(report), words)
  assert.deepEqual([65, 70, 78, 64, 69, 75, 1].map(retryOfExit), [
    'never',
    'never',
    'after-fix',
    'after-fix',
    'later',
    'later',
    'later',
  ])
  assert.deepEqual(
    [exitCodeFor(failed(78), 75), exitCodeFor(failed(3), 75), exitCodeFor({ why: 'finished' }, 75)],
    [78, 75, 75],
  )
  assert.equal(diedOfClosedPipe(failed(141)), true)
  assert.equal(diedOfClosedPipe(failed(1, 'BrokenPipeError: [Errno 32] Broken pipe')), true)
  assert.equal(diedOfClosedPipe(failed(1, 'KeyError')), false)
  assert.equal(reasonIn(' \n'), undefined)
  assert.ok((reasonIn('x'.repeat(2000)) ?? '').length < 600)
})

test('reports: known ones are read, others pass', () => {
  assert.equal(
    parseReport('{"kind":"closed","books":{},"evidence":[{"substream":"a","rows":1,"marks":{"n":9007199254740993}}]}')
      ?.kind,
    'closed',
  )
  for (const line of ['', 'x', '[]', '{"kind":"new"}', '{"kind":"commit","books":{}}', '{"kind":"failed"}'])
    assert.equal(parseReport(line), undefined, line)
})

test('metrics and levels of logs, by table', () => {
  assert.deepEqual(
    parseMetric(
      '2024-01-01 10:00:00 | INFO | singer_sdk.metrics | METRIC: {"type": "counter", "metric": "record_count", "value": 5, "tags": {"stream": "a"}}',
    ),
    {
      type: 'counter',
      metric: 'record_count',
      value: 5,
      tags: { stream: 'a' },
    },
  )
  for (const line of ['INFO METRIC: {', 'INFO METRIC: {"metric": 1}', 'INFO nothing'])
    assert.equal(parseMetric(line), undefined)
  for (const [line, level] of [
    ['{"time":"t","level":"warn","message":"ERROR"}', 'warn'],
    ['CRITICAL x', 'error'],
    ['2024 | WARNING | x', 'warn'],
    ['Traceback (most recent call last):', 'info'],
    ['DEBUG x', 'debug'],
  ] as const)
    assert.equal(levelOf(line), level, line)
})

test('the environment of a child', () => {
  assert.deepEqual(
    childEnvironment({ PATH: 'p', TAP_A: 'a', SECRET: 's', MINE: 'm', LC_ALL: 'C', NONE: undefined }, { PATH: 'q' }, [
      'MINE',
    ]),
    { PATH: 'q', TAP_A: 'a', MINE: 'm', LC_ALL: 'C' },
  )
})

test('rates and shares of progress', () => {
  let now = 0
  const meter = new ProgressMeter(() => now)
  now = 500
  const report = {
    kind: 'progress',
    substreams: { a: { received: 100, stored: 50 } },
    bytes: 1000,
    waitingMs: 100,
    writingMs: 250,
  } as const
  const first = meter.fromReport(report)
  assert.deepEqual(
    [
      first.records,
      first.recordsPerSecond,
      first.bytesPerSecond,
      first.waitingShare,
      first.writingShare,
      first.elapsedMs,
    ],
    [100, 200, 2000, 0.2, 0.5, 500],
  )
  now = 1500
  assert.equal(
    meter.fromReport({ ...report, substreams: { a: { received: 100, stored: 100 }, b: { received: 50, stored: 0 } } })
      .recordsPerSecond,
    50,
  )
})
