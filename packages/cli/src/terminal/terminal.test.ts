import assert from 'node:assert/strict'
import { test } from 'node:test'
import { count, counted, duration, moment, size } from './format.ts'
import { ProgressBlock } from './progress.ts'
import { canRepaint, styleFor, wantsColor } from './style.ts'
import { renderTable } from './table.ts'
import { cut, oneLine, pad, widthOf } from './width.ts'

test('width counts columns, not characters', () => {
  for (const [text, width] of [
    ['abc', 3],
    ['', 0],
    ['日本', 4],
    ['é', 1],
    ['e\u0301', 1],
    ['👍🏽', 2],
    ['👨‍👩‍👧', 2],
    ['a\u200bb', 2],
    ['\u001b[31mred\u001b[39m', 3],
    ['한글 ok', 7],
  ] as const)
    assert.equal(widthOf(text), width, JSON.stringify(text))
})

test('cut never splits a character and never exceeds its columns', () => {
  assert.equal(cut('abcdef', 6), 'abcdef')
  assert.equal(cut('abcdef', 4), 'abc…')
  assert.equal(cut('日本語', 4), '日…')
  assert.equal(cut('日本語', 5), '日本…')
  for (let n = 1; n < 8; n++) assert.ok(widthOf(cut('a日👍本b語', n)) <= n)
  assert.equal(pad('日', 4), '日  ')
  assert.equal(pad('7', 3, 'left'), '  7')
})

test('control characters cannot move the cursor', () => {
  assert.equal(oneLine('a\nb\tc\u001b[2Jd\u2028'), 'a\\nb\\tc\\u001b[2Jd\\u2028')
})

test('a table aligns, and shrinks its widest text first', () => {
  const columns = ['name', { title: 'rows', align: 'right' as const }, 'note']
  const rows = [
    ['commits', '1,234', 'a short one'],
    ['日本', '7', 'a long note\nof two lines that does not fit into the terminal'],
  ]
  assert.equal(
    renderTable({ columns, rows: [rows[0] as string[]] }),
    'name      rows  note\ncommits  1,234  a short one\n',
  )
  const narrow = renderTable({ columns, rows, width: 40 }).split('\n')
  for (const line of narrow) assert.ok(widthOf(line) <= 40, line)
  assert.match(narrow[2] as string, /^日本 {9}7 {2}a long note\\nof two lin…$/)
  assert.equal(renderTable({ columns, rows: [] }), '')
  assert.match(renderTable({ columns, rows, indent: 2, heading: (t) => t.toUpperCase() }), /^ {2}NAME/)
})

test('colour: NO_COLOR, then FORCE_COLOR, then the terminal', () => {
  const tty = { isTTY: true }
  for (const [stream, env, wants] of [
    [tty, {}, true],
    [{}, {}, false],
    [tty, { NO_COLOR: '1' }, false],
    [tty, { NO_COLOR: '' }, true],
    [{}, { FORCE_COLOR: '1' }, true],
    [tty, { FORCE_COLOR: '0' }, false],
    [{}, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
    [tty, { TERM: 'dumb' }, false],
    [tty, { CI: 'true' }, false],
    [{}, { CI: 'true', FORCE_COLOR: '1' }, true],
  ] as const)
    assert.equal(wantsColor(stream, env), wants, JSON.stringify([stream, env]))
  assert.equal(styleFor(tty, {}).red('x'), '\u001b[31mx\u001b[39m')
  assert.equal(styleFor({}, {}).red('x'), 'x')
  assert.equal(canRepaint(tty, { CI: '1' }), false)
  assert.equal(canRepaint(tty, {}), true)
})

test('numbers, sizes, times', () => {
  assert.equal(count(1234567), '1,234,567')
  assert.equal(count(12345678901234567890n), '12,345,678,901,234,567,890')
  assert.equal(counted(1, 'record'), '1 record')
  assert.equal(counted(2, 'entry', 'entries'), '2 entries')
  assert.deepEqual([0, 999, 1000, 1_234_567, 5e12].map(size), ['0 B', '999 B', '1.0 kB', '1.2 MB', '5.0 TB'])
  assert.deepEqual([340, 12_340, 245_000, 11_520_000].map(duration), ['340 ms', '12.3 s', '4 min 5 s', '3 h 12 min'])
  assert.equal(moment('2026-05-04T10:11:12.345Z'), '2026-05-04 10:11:12Z')
  assert.equal(moment(undefined), '')
})

/** What a terminal would show after these writes: enough of its language for the block. */
const screenAfter = (written: string): readonly string[] => {
  const lines: string[] = ['']
  let row = 0
  for (const [part] of written.replaceAll('\u001b', '␛').matchAll(/␛\[(?:\?25[lh]|0J|\d+A)|\r|\n|[^␛\r\n]+/g)) {
    if (part === '\n') lines[++row] ??= ''
    else if (part.endsWith('A')) row -= Number(part.slice(2, -1))
    else if (part.endsWith('J')) lines.splice(row, lines.length, '')
    else if (!part.startsWith('␛') && part !== '\r') lines[row] = part
  }
  return lines
}

test('the block is repainted in its place, lines go above it, and it leaves nothing behind', async () => {
  let written = ''
  const target = {
    isTTY: true,
    columns: 20,
    rows: 4,
    write: (text: string) => {
      written += text
    },
  }
  const block = new ProgressBlock(target, true)
  const painted = async (): Promise<void> => {
    const before = written
    for (let i = 0; i < 100 && written === before; i++) await new Promise((done) => setTimeout(done, 10))
  }
  block.show(['one', 'two'])
  await painted()
  assert.deepEqual(screenAfter(written), ['one', 'two', ''])
  block.above('said\n')
  assert.deepEqual(screenAfter(written), ['said', 'one', 'two', ''])
  block.show(['a line that is too long for it', 'b', 'c', 'no room for this'])
  await painted()
  assert.deepEqual(screenAfter(written), ['said', 'a line that is too…', 'b', 'c', ''])
  block.end()
  assert.deepEqual(screenAfter(written), ['said', ''])
  assert.ok(written.endsWith('\u001b[?25h'))
  block.end()
})

test('where nothing can be repainted the block is silent and lines pass', () => {
  let written = ''
  const block = new ProgressBlock(
    {
      write: (text: string) => {
        written += text
      },
    },
    false,
  )
  block.show(['one'])
  block.above('said\n')
  block.end()
  assert.equal(written, 'said\n')
})
