/** Commands that ask a manager, run in this process, which is the manager as well. */
import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { createLogger, isMillraceError } from '@millrace/sdk'
import { type Manager, startManager } from '@millrace/server'
import type { CommandContext } from '../command/context.ts'
import { OptionValues } from '../command/option-values.ts'
import { managerFindings } from '../doctor/manager.ts'
import { temporaryFolder } from '../fixtures/program.ts'
import { styleFor } from '../terminal/style.ts'
import { commandTable } from './table.ts'

const log = createLogger({ format: 'text', level: 'error', write: () => {} })
const folder = temporaryFolder()
let manager: Manager
before(async () => {
  manager = await startManager({ projectDir: folder.path, listen: '127.0.0.1:0', version: '1.2.3', log })
})
after(async () => {
  await manager.close()
  folder[Symbol.dispose]()
})

const code = (wanted: string) => (e: unknown) => isMillraceError(e) && e.code === wanted

/** Runs a command as it is called in the manager's folder; answers what it printed. */
const run = async (
  path: string,
  args: readonly string[],
  options: Readonly<Record<string, unknown>> = {},
): Promise<string> => {
  const command = await commandTable.find((entry) => entry.path === path)?.load()
  assert.ok(command !== undefined && typeof command !== 'function', path)
  let printed = ''
  const print = (text: string): void => {
    printed += text
  }
  const style = styleFor({ isTTY: false } as NodeJS.WriteStream, {})
  const context: CommandContext = {
    cwd: folder.path,
    env: {},
    json: options['json'] === true,
    quiet: false,
    style,
    wordStyle: style,
    width: undefined,
    print,
    printJson: (value) => print(JSON.stringify(value)),
    say: () => {},
    logFormat: 'text',
    logLevel: 'error',
    log,
  }
  assert.equal((await command.run({ args, options: new OptionValues(options), context })) ?? 0, 0)
  return printed
}

describe('subscriptions', () => {
  it('are made, looked at, held, let go on, given another secret, and ended', async () => {
    await run('streams create', ['orders'])
    const made = await run('subscriptions create', ['orders', 'https://93.184.215.14/hook'], {
      maxRecords: '7',
      timeout: '30s',
      from: 'first',
    })
    const [, id = '', secret = ''] =
      /^MILLRACE_SUBSCRIPTION_ID=(\S+)\nMILLRACE_WEBHOOK_SECRET=(whsec_\S+)\n$/.exec(made) ?? []
    assert.ok(id !== '', made)
    assert.match(await run('subscriptions list', ['orders']), new RegExp(`${id}.*https://93\\.184\\.215\\.14/hook`))
    const shown = await run('subscriptions show', ['orders', id])
    assert.match(shown, /at most 7 records, 30/)
    assert.match(shown, /0 behind the end/)
    assert.match(shown, /it pauses instead/)
    await run('subscriptions pause', ['orders', id])
    assert.match(await run('subscriptions show', ['orders', id]), /state +paused/)
    const resumed = JSON.parse(await run('subscriptions resume', ['orders', id], { json: true })) as {
      readonly isPaused: boolean
    }
    assert.equal(resumed.isPaused, false)
    const rotated = await run('subscriptions rotate', ['orders', id])
    assert.match(rotated, /MILLRACE_WEBHOOK_SECRET=whsec_/)
    assert.ok(!rotated.includes(secret) && !shown.includes('whsec_'))
    await run('subscriptions delete', ['orders', id])
    assert.equal(await run('subscriptions list', ['orders'], { json: true }), '[]')
    await assert.rejects(run('subscriptions show', ['orders', id]), isMillraceError)
    await assert.rejects(run('subscriptions create', ['orders', 'example.com']), code('COMMAND_USAGE'))
    await assert.rejects(run('subscriptions create', ['orders', 'ftp://example.com/']), code('SUBSCRIPTION_INVALID'))
  })
})

describe('users', () => {
  it('are made with a login that works once, listed, and deleted when that is meant', async () => {
    const made = JSON.parse(await run('users create', ['ann@example.com'], { displayName: 'Ann', json: true })) as {
      readonly id: string
      readonly oneTimeLogin: string
    }
    const form = new URLSearchParams({ grant_type: 'urn:millrace:one-time-login', login: made.oneTimeLogin })
    const logIn = async () => (await fetch(`${manager.url}/api/v1/oauth/token`, { method: 'POST', body: form })).status
    assert.deepEqual([await logIn(), await logIn()], [200, 400])
    const invited = await run('users invite', ['ann@example.com'])
    form.set('login', invited.trim())
    assert.deepEqual([await logIn(), await logIn()], [200, 400])
    await assert.rejects(run('users invite', ['ann']), code('COMMAND_USAGE'))
    assert.match(await run('users list', []), new RegExp(`${made.id} +ann@example\\.com +Ann .* no +none yet`))
    await assert.rejects(run('users delete', [made.id]), code('COMMAND_USAGE'))
    await run('users delete', [made.id], { yes: true })
    assert.ok(!(await run('users list', [])).includes('ann@example.com'))
    await assert.rejects(run('users create', ['ann']), code('COMMAND_USAGE'))
  })
})

describe('the signing key', () => {
  it('is replaced: quietly, or so that every token of before is refused', async () => {
    const { oneTimeLogin: login } = JSON.parse(
      await run('users create', ['eve@example.com'], { displayName: 'Eve', json: true }),
    ) as { readonly oneTimeLogin: string }
    const form = new URLSearchParams({ grant_type: 'urn:millrace:one-time-login', login })
    const answer = await fetch(`${manager.url}/api/v1/oauth/token`, { method: 'POST', body: form })
    const { access_token: token } = (await answer.json()) as { readonly access_token: string }
    const headers = { authorization: `Bearer ${token}` }
    const me = async (): Promise<number> => (await fetch(`${manager.url}/api/v1/me`, { headers })).status
    assert.equal(await me(), 200)
    await run('signing-key rotate', [])
    assert.equal(await me(), 200)
    const denied = await fetch(`${manager.url}/api/v1/signing-key/rotate`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: '{}',
    })
    assert.equal(denied.status, 403)
    assert.equal(await run('signing-key rotate', [], { atOnce: true, json: true }), '{"rotated":true,"atOnce":true}')
    assert.equal(await me(), 401)
    // Who reads the manager's own file is none of them.
    await run('users list', [])
  })
})

describe('doctor looks at the manager', () => {
  const findings = async (env: Readonly<Record<string, string>>, cwd: string = folder.path) =>
    Object.fromEntries((await managerFindings({ cwd, env }, '1.2.3')).map((f) => [f.what, f]))
  const answering = async (listener: RequestListener): Promise<{ readonly url: string } & AsyncDisposable> => {
    const server = createServer(listener)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      [Symbol.asyncDispose]: async () => {
        server.closeAllConnections()
        server.close()
        await once(server, 'close')
      },
    }
  }

  it('finds a good one good: it answers, takes the login, has the same time and version', async () => {
    const found = await findings({})
    assert.deepEqual(Object.keys(found), ['manager', 'login', 'clock', 'version'])
    for (const one of Object.values(found)) assert.equal(one.is, 'good', JSON.stringify(one))
  })

  it('says that none is known, that one does not answer, and that a token is refused', async () => {
    using elsewhere = temporaryFolder()
    const HOME = elsewhere.path
    assert.equal((await findings({ HOME }, elsewhere.path))['manager']?.is, 'missing')
    const silent = await answering(() => {})
    await silent[Symbol.asyncDispose]()
    const gone = (await findings({ MILLRACE_URL: silent.url, MILLRACE_TOKEN: 'x' }))['manager']
    assert.equal(gone?.is, 'bad')
    assert.match(gone?.found ?? '', /does not answer \(ECONNREFUSED\)/)
    const refused = (await findings({ MILLRACE_URL: manager.url, MILLRACE_TOKEN: 'a.b.c' }))['login']
    assert.equal(refused?.is, 'bad')
    assert.ok(!JSON.stringify(refused).includes('a.b.c'))
    assert.equal((await findings({ HOME, MILLRACE_URL: manager.url }, elsewhere.path))['manager']?.is, 'bad')
  })

  it('says that it cannot work, that the clocks differ, that it is another version, and that https is missing', async () => {
    let isReady = false
    await using other = await answering((request, response) => {
      response.setHeader('date', new Date(Date.now() - 3_600_000).toUTCString())
      response.statusCode = isReady ? 200 : 503
      response.end(JSON.stringify(request.url === '/openapi.json' ? { info: { version: '9.9.9' } } : {}))
    })
    const env = { MILLRACE_URL: other.url, MILLRACE_TOKEN: 'x' }
    assert.match((await findings(env))['manager']?.found ?? '', /answers 503/)
    isReady = true
    const found = await findings(env)
    assert.deepEqual([found['manager']?.is, found['clock']?.is, found['version']?.is], ['good', 'bad', 'missing'])
    assert.match(found['version']?.found ?? '', /9\.9\.9, this is 1\.2\.3/)
    const away = await findings({ MILLRACE_URL: 'http://manager.invalid', MILLRACE_TOKEN: 'x' })
    assert.equal(away['TLS']?.is, 'bad')
  })
})
