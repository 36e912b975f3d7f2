import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concealing, secretTexts } from './conceal.ts'
import { reasonIn } from './reason.ts'

test('the reason in what a program wrote last, by table', () => {
  for (const [tail, reason] of [
    ['INFO a\nCRITICAL no such account\nINFO bye', 'CRITICAL no such account'],
    [
      'INFO loading\nTraceback (most recent call last):\n  File "target.py", line 3, in <module>\n    main()\n    ~~~~^^\n  File "target.py", line 2\npsycopg2.errors.NotNullViolation: null value in column "id"\n',
      'psycopg2.errors.NotNullViolation: null value in column "id"',
    ],
    [
      'Traceback (most recent call last):\n  File "a.py"\nKeyError: 1\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File "b.py"\nValueError: bad row\n  with more\n',
      'ValueError: bad row',
    ],
    [
      'node:internal/modules/cjs/loader:1228\n  throw err;\n  ^\n\nError: Cannot find module "x"\n    at Module._load (node:internal:1)\n\nNode.js v24.1.0\n',
      'Error: Cannot find module "x"',
    ],
    [
      '/opt/target.mjs:12\n    throw new TypeError("no")\n          ^\n\nTypeError: no\n    at file:///opt/target.mjs:12:11 {\n  code: 1\n}\n\nNode.js v24.1.0',
      'TypeError: no',
    ],
    [
      'CRITICAL Traceback (most recent call last):\nCRITICAL   File "t.py", line 1\nCRITICAL singer.error: x',
      'CRITICAL singer.error: x',
    ],
    [
      'ERROR:root:Unhandled exception\nTraceback (most recent call last):\n  File "x"\nOSError: [Errno 28] No space left',
      'OSError: [Errno 28] No space left',
    ],
    ['usage: tap [-h]\ntap: error: unrecognized arguments: --catalog', 'tap: error: unrecognized arguments: --catalog'],
    ['plain words\n', 'plain words'],
  ] as const)
    assert.equal(reasonIn(tail), reason)
  assert.equal(reasonIn(' \n'), undefined)
  assert.ok((reasonIn('x'.repeat(2000)) ?? '').length < 600)
})

test('secrets are found by their names and concealed in every form', () => {
  const secrets = secretTexts({ user: 'ann', auth: { deep: ['s3cr"et/'] }, password: 'abc', api_key: 'key-1234' })
  assert.deepEqual(secrets, ['s3cr"et/', 'key-1234'])
  assert.equal(concealing(secrets)('s3cr"et/ s3cr\\"et/ s3cr%22et%2F key-1234 ann'), '*** *** *** *** ann')
})
