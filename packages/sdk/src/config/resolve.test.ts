import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MillraceError } from '../errors/error.ts'
import { flag, text, whole } from './fields.ts'
import { configJsonSchema, environmentNames, flagName, type ResolveInput, resolveConfig } from './resolve.ts'

const spec = {
  accessToken: text({ doc: 'API token', env: ['GITHUB_TOKEN'], secret: true }),
  pageSize: whole({ doc: 'Rows a call', default: 100, min: 1, max: 100, aliases: ['per_page'] }),
  since: text({ doc: 'Begin here', optional: true }),
  dry: flag({ doc: 'Only look', default: false }),
}
const resolve = (input: Partial<ResolveInput>): ReturnType<typeof resolveConfig<typeof spec>> =>
  resolveConfig(spec, { kind: 'streamer', name: 'git-hub', ...input })
const failureOf = (input: Partial<ResolveInput>): MillraceError => {
  try {
    resolve(input)
  } catch (e) {
    assert.ok(e instanceof MillraceError)
    return e
  }
  throw new assert.AssertionError({ message: 'nothing was thrown' })
}

describe('resolveConfig', () => {
  it('a flag before the environment, before the file, before the default', () => {
    const file = { page_size: 4 }
    const env = { TAP_GIT_HUB_PAGE_SIZE: '3', GITHUB_TOKEN: 't' }
    const size = (input: Partial<ResolveInput>): number => resolve(input).config.pageSize
    assert.equal(size({ flags: { pageSize: '2' }, env, file }), 2)
    assert.equal(size({ env, file }), 3)
    assert.equal(size({ env: { GITHUB_TOKEN: 't' }, file }), 4)
    assert.equal(size({ env: { GITHUB_TOKEN: 't' } }), 100)
  })

  it('finds a setting under its older names', () => {
    assert.equal(resolve({ file: { access_token: 't', per_page: 7 } }).config.pageSize, 7)
    assert.equal(resolve({ env: { MILLRACE_STREAMER_GIT_HUB_ACCESS_TOKEN: 't' } }).config.accessToken, 't')
    assert.equal(
      resolveConfig(spec, { kind: 'persister', name: 'x', env: { TARGET_X_ACCESS_TOKEN: 't' } }).config.accessToken,
      't',
    )
  })

  it('takes an empty variable and a null in the file for nothing', () => {
    const { config } = resolve({
      env: { GITHUB_TOKEN: '', TAP_GIT_HUB_PAGE_SIZE: '' },
      file: { accessToken: 't', pageSize: null },
    })
    assert.deepEqual({ ...config }, { accessToken: 't', pageSize: 100, since: undefined, dry: false })
  })

  it('tells where each came from, and no secret', () => {
    const { settings } = resolve({
      flags: { dry: true },
      env: { GITHUB_TOKEN: 'ghp_secret' },
      file: { pageSize: 5 },
      fileName: 'c.json',
    })
    assert.deepEqual(settings, [
      { key: 'accessToken', source: 'environment', from: 'GITHUB_TOKEN', shown: '***' },
      { key: 'pageSize', source: 'file', from: '"pageSize" in c.json', shown: '5' },
      { key: 'since', source: 'unset', from: '', shown: '' },
      { key: 'dry', source: 'flag', from: '--dry', shown: 'true' },
    ])
  })

  it('tells every problem at once, and for what is missing every place it looked in', () => {
    const error = failureOf({ file: { pageSize: 500, dry: 'maybe' }, fileName: 'c.json' })
    assert.equal(error.code, 'CONFIG_INVALID')
    assert.equal(
      error.message,
      'streamer git-hub: accessToken is missing (text; looked for --access-token, GITHUB_TOKEN, TAP_GIT_HUB_ACCESS_TOKEN, MILLRACE_STREAMER_GIT_HUB_ACCESS_TOKEN, "accessToken" in c.json), ' +
        'pageSize must be a whole number from 1 to 100 (from "pageSize" in c.json), dry must be true or false (from "dry" in c.json)',
    )
  })

  it('never says the value of a secret that is wrong', () => {
    const strict = { pin: whole({ doc: 'PIN', secret: true }) }
    assert.throws(
      () => resolveConfig(strict, { kind: 'streamer', name: 'x', file: { pin: 'hunter2' } }),
      (e: Error) => !e.message.includes('hunter2'),
    )
  })

  it('passes over keys it does not know, and names them; strictly, it refuses them', () => {
    const file = { accessToken: 't', pagesize: 5, disable_collection: true }
    assert.deepEqual(resolve({ file }).unknown, ['pagesize', 'disable_collection'])
    assert.match(
      failureOf({ file, strict: true }).message,
      /"pagesize" is not a setting; did you mean pageSize\?, "disable_collection" is not a setting$/,
    )
  })

  it('is not fooled by a file with __proto__', () => {
    const file = JSON.parse('{"__proto__":{"accessToken":"t"}}')
    assert.match(failureOf({ file }).message, /accessToken is missing/)
  })
})

it('names', () => {
  assert.equal(flagName('pageSize'), 'page-size')
  assert.equal(flagName('page_size'), 'page-size')
  assert.deepEqual(environmentNames('operation', 'my op', 'pageSize', spec.pageSize), [
    'MILLRACE_OPERATION_MY_OP_PAGE_SIZE',
  ])
})

it('configJsonSchema describes all settings', () => {
  const schema = configJsonSchema(spec)
  assert.deepEqual(Object.keys(schema['properties'] as object), Object.keys(spec))
})
