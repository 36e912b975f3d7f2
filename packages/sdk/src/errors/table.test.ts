import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import {
  describeError,
  exitCodeOf,
  isMillraceError,
  MillraceError,
  nearest,
  systemCode,
  toMillraceError,
} from './error.ts'
import { type ErrorDetails, errorCodes, errorTable, exitCodes } from './table.ts'

const everything = new Proxy({} as ErrorDetails, { get: (_, name) => `<${String(name)}>` })

describe('the error table', () => {
  it('has a row for each code and no other, in the order of the list, none twice', () => {
    assert.deepEqual(Object.keys(errorTable), [...errorCodes])
    assert.equal(new Set(errorCodes).size, errorCodes.length)
  })

  for (const code of errorCodes)
    it(`${code} says one line, and what to do without details too`, () => {
      const { say, fix, exit, http, retry } = errorTable[code]
      for (const text of [say(everything), fix(everything), fix({})])
        assert.ok(text.trim() !== '' && !text.includes('\n') && !text.includes('[object'), text)
      assert.doesNotThrow(() => say({}))
      assert.match(fix({}), /[.?!`]$/)
      assert.ok((Object.values(exitCodes) as number[]).includes(exit) && exit !== exitCodes.done)
      assert.ok(http >= 400 && http < 600)
      const classes: Record<typeof retry, readonly number[]> = {
        never: [exitCodes.badData, exitCodes.ourBug],
        later: [exitCodes.unavailable, exitCodes.later, exitCodes.interrupted],
        'after-fix': [exitCodes.settings, exitCodes.usage, exitCodes.badData],
      }
      assert.ok(classes[retry].includes(exit), `${retry} and exit code ${exit} disagree`)
    })

  it('every code is used somewhere', async () => {
    const packages = new URL('../../../', import.meta.url)
    const used = new Set<string>()
    for (const file of await readdir(packages, { recursive: true })) {
      if (
        !/^[a-z]+\/(src|bin)\/.*\.m?[jt]s$/.test(file) ||
        file.endsWith('.test.ts') ||
        file.endsWith('errors/table.ts')
      )
        continue
      for (const m of (await readFile(new URL(file, packages), 'utf8')).matchAll(
        /\b([A-Z]+(?:_[A-Z0-9]+)+|INTERRUPTED|INTERNAL)\b/g,
      ))
        used.add(m[1] as string)
    }
    assert.deepEqual(
      errorCodes.filter((code) => !used.has(code)),
      [],
    )
  })
})

describe('MillraceError', () => {
  const error = new MillraceError('MESSAGE_TOO_LONG', { source: 'in.jsonl', line: 3, maxBytes: 10 }, { cause: 'x' })

  it('takes all it says from its row', () => {
    assert.equal(error.message, 'in.jsonl line 3: longer than the limit of 10 bytes')
    assert.deepEqual([error.name, error.retry, error.exitCode, error.cause], ['MillraceError', 'never', 65, 'x'])
    assert.equal(describeError(error), `${error.message}   [MESSAGE_TOO_LONG, never]\n  ${error.fix}`)
    assert.equal(exitCodeOf(error), 65)
  })

  it('says the place it knows, and no more', () => {
    assert.equal(new MillraceError('MESSAGE_NOT_UTF8', { line: 2 }).message, 'line 2: not valid UTF-8')
    assert.equal(new MillraceError('MESSAGE_NOT_UTF8', { source: 'a' }).message, 'a: not valid UTF-8')
    assert.equal(new MillraceError('MESSAGE_NOT_UTF8').message, 'not valid UTF-8')
  })

  it('is recognised by name and code, across copies of the library', () => {
    const foreign = Object.assign(new Error('x'), { name: 'MillraceError', code: 'INTERNAL' })
    assert.ok(isMillraceError(error) && isMillraceError(foreign))
    for (const other of [
      new Error('x'),
      Object.assign(new Error('x'), { code: 'INTERNAL' }),
      Object.assign(new Error(), { name: 'MillraceError', code: 'NONE' }),
      null,
      'INTERNAL',
    ])
      assert.ok(!isMillraceError(other))
  })

  it('puts any thrown value into its shape, on one line', () => {
    assert.equal(toMillraceError(error), error)
    const cause = new Error('first\nsecond')
    const internal = toMillraceError(cause)
    assert.deepEqual([internal.code, internal.message, internal.cause], ['INTERNAL', 'internal error: first', cause])
    assert.equal(toMillraceError('text').message, 'internal error: text')
    assert.equal(exitCodeOf('text'), 70)
  })

  it('takes the reason of a stop for what it is', () => {
    const stopped = toMillraceError(new DOMException('SIGTERM', 'AbortError'))
    assert.deepEqual([stopped.code, stopped.exitCode, stopped.message], ['INTERRUPTED', 130, 'stopped by SIGTERM'])
    assert.equal(toMillraceError(new DOMException('other', 'AbortError')).code, 'INTERNAL')
  })

  it('knows the code of a system error', () => {
    assert.equal(systemCode(Object.assign(new Error(), { code: 'ENOENT' })), 'ENOENT')
    for (const other of [null, undefined, 1, new Error('x'), { code: 5 }]) assert.equal(systemCode(other), undefined)
  })
})

describe('nearest', () => {
  const known = ['jsonl', 'csv', 'sqlite', 'duckdb', 'hello']
  for (const [typed, expected] of [
    ['jsnol', ['jsonl']],
    ['JSONL', ['jsonl']],
    ['sqllite', ['sqlite']],
    ['ducdb', ['duckdb']],
    ['csw', ['csv']],
    ['postgres', []],
    ['', []],
  ] as const)
    it(`"${typed}" → ${expected.join(', ') || 'nothing'}`, () => assert.deepEqual(nearest(typed, known), expected))

  it('offers three at most, best first', () =>
    assert.deepEqual(nearest('abcd', ['abxx', 'abcx', 'abcd', 'abc', 'abcde']), ['abcd', 'abcx', 'abc']))
})
