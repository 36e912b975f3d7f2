import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type Up, up } from './fixtures/manager.ts'
import { collected, eventually, millrace, start, temporaryFolder } from './fixtures/program.ts'

const lines = (text: string): readonly string[] => text.split('\n').filter((l) => l !== '')

describe('the manager on the command line', () => {
  const folder = temporaryFolder()
  let manager: Up
  const run = (args: readonly string[], input?: string, env: Readonly<Record<string, string>> = {}) =>
    millrace(args, { cwd: folder.path, env, ...(input === undefined ? {} : { input }) })
  /** Runs a command that has to succeed; answers its stdout. */
  const good = async (args: readonly string[], input?: string): Promise<string> => {
    const { code, stdout, stderr } = await run(args, input)
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
    return stdout
  }

  before(async () => {
    manager = await up(folder.path)
  })
  after(async () => {
    await manager.stop('SIGKILL')
    folder[Symbol.dispose]()
  })

  it('two terminals: what one publishes the other prints at once, from the beginning of its reading', async () => {
    await good(['streams', 'create', 'talk'])
    await good(['publish', 'talk', '"before"'])
    const consumer = start(['consume', 'talk', '--follow', '--log-level', 'error'], { cwd: folder.path })
    let said = ''
    consumer.stdout?.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
    const metrics = async (): Promise<boolean> =>
      /^millrace_followers 1$/m.test(await (await fetch(`${manager.url}/metrics`)).text())
    while (!(await metrics())) await new Promise(setImmediate)
    await good(['publish', 'talk'], '{"n": 1.50}\n{"n":12345678901234567890}')
    await eventually(() => lines(said).length === 2, 'two lines')
    assert.deepEqual(lines(said), ['{"n": 1.50}', '{"n":12345678901234567890}'])
    consumer.kill('SIGINT')
    assert.equal(await new Promise((done) => consumer.once('close', done)), 0)
    assert.equal(await good(['consume', 'talk', '--from', 'last:1']), '{"n":12345678901234567890}\n')
    assert.deepEqual(lines(await good(['consume', 'talk', '--from', 'offset:1', '--limit', '1'])), ['{"n": 1.50}'])
  })

  it('marks what was read, and shares the work of a group', async () => {
    await good(['streams', 'create', 'jobs'])
    await good(['publish', 'jobs', '--quiet'], '1\n2\n3\n4\n')
    assert.equal(await good(['consume', 'jobs', '--unread', '--mark-read', '--limit', '2']), '1\n2\n')
    assert.equal(await good(['consume', 'jobs', '--unread']), '3\n4\n')
    assert.equal(await good(['consume', 'jobs', '--unread', '--mark-read']), '3\n4\n')
    assert.equal(await good(['consume', 'jobs', '--unread']), '')
    assert.equal(await good(['consume', 'jobs', '--group', 'workers', '--limit', '3']), '1\n2\n3\n')
    assert.equal(await good(['consume', 'jobs', '--group', 'workers']), '4\n')
    assert.equal(await good(['consume', 'jobs', '--group', 'workers']), '')
  })

  it('keeps lines of text as they are', async () => {
    await good(['streams', 'create', 'chat', '--content-type', 'text/plain'])
    await good(['publish', 'chat'], 'hello\n\n{"no": json\n')
    assert.equal(await good(['consume', 'chat']), 'hello\n\n{"no": json\n')
  })

  it('stops at a line that is no JSON, and says which; what came before is published', async () => {
    await good(['streams', 'create', 'mixed'])
    writeFileSync(join(folder.path, 'mixed.jsonl'), '1\n\n2\nthree\n4\n')
    const { code, stderr } = await run(['publish', 'mixed', '--file', 'mixed.jsonl'])
    assert.equal(code, 65)
    assert.match(stderr, /mixed\.jsonl line 4: not a JSON message.*MESSAGE_NOT_JSON/)
    assert.equal(await good(['consume', 'mixed']), '1\n2\n')
    assert.match(stderr, /Give one JSON value a line/)
    const long = await run(['publish', 'mixed'], `"${'x'.repeat(17 * 1024 * 1024)}`)
    assert.match(long.stderr, /MESSAGE_TOO_LONG/)
    assert.doesNotMatch(long.stderr, /max-line-bytes/)
  })

  it('takes lines that end in CRLF as they are meant', async () => {
    await good(['streams', 'create', 'windows'])
    await good(['publish', 'windows'], '{"id":8}\r\n\r\n{"id":9}\r\n')
    assert.equal(await good(['consume', 'windows']), '{"id":8}\n{"id":9}\n')
  })

  it('says that a folder is none that it can publish', async () => {
    await good(['streams', 'create', 'folders'])
    const { code, stderr } = await run(['publish', 'folders', '--file', folder.path])
    assert.notEqual(code, 70)
    assert.match(stderr, /SOURCE_REFUSED/)
  })

  it('the same lines under the same writer are published once', async () => {
    await good(['streams', 'create', 'once'])
    await good(['publish', 'once', '--writer', 'import-7'], '1\n2\n')
    await good(['publish', 'once', '--writer', 'import-7'], '1\n2\n3\n')
    assert.equal(await good(['consume', 'once']), '1\n2\n3\n')
  })

  it('lets go of what is beyond the retention of a stream, by itself', { timeout: 60_000 }, async () => {
    await good(['streams', 'create', 'limited', '--max-records', '2'])
    for (const i of [1, 2, 3, 4]) await good(['publish', 'limited', `{"i":${i}}`])
    while ((await good(['consume', 'limited'])) !== '{"i":3}\n{"i":4}\n')
      await new Promise((done) => setTimeout(done, 300))
  })

  it('and where they are more than is read before the manager says how many it has', async () => {
    await good(['streams', 'create', 'many'])
    // More than a publisher holds: most of it is read when the number is known.
    const lines = Array.from({ length: 30_000 }, (_, i) => `{"n":${i},"note":"${'x'.repeat(500)}"}`)
    const name = join(folder.path, 'many.jsonl')
    for (const [count, more] of [
      [20_000, 20_000],
      [20_000, 0],
      [30_000, 10_000],
      [5, 0],
    ] as const) {
      writeFileSync(name, `${lines.slice(0, count).join('\n')}\n`)
      const said = JSON.parse(await good(['publish', 'many', '--file', 'many.jsonl', '--writer', 'import-8', '--json']))
      assert.deepEqual([said.records, more === 0], [count, said.next === undefined], JSON.stringify(said))
    }
    const { next } = JSON.parse(await good(['streams', 'show', 'many', '--json'])) as { readonly next: number }
    assert.equal(next, 30_000)
  })

  it('grants a partner what a partner may, and takes it away', async () => {
    await good(['streams', 'create', 'shared'])
    await good(['publish', 'shared', '{"a":1}'])
    const given = JSON.parse(await good(['grant', 'shared', 'a partner', 'consumer', '--new-client', '--json'])) as {
      readonly actor: { readonly id: string }
      readonly secret: string
    }
    using elsewhere = temporaryFolder()
    const partner = (args: readonly string[], input = '') =>
      millrace(args, { cwd: elsewhere.path, input, env: { HOME: elsewhere.path, XDG_CONFIG_HOME: '' } })
    const lost = await partner(['consume', 'shared'])
    assert.equal(lost.code, 78)
    assert.match(lost.stderr, /no manager is known here.*MANAGER_UNKNOWN/)
    const login = await partner(
      ['login', manager.url, '--client-id', given.actor.id, '--secret-file', '-'],
      given.secret,
    )
    assert.equal(login.code, 0, login.stderr)
    assert.doesNotMatch(login.stdout + login.stderr, new RegExp(given.secret))
    assert.equal(statSync(join(elsewhere.path, '.config/millrace/logins.json')).mode & 0o777, 0o600)
    assert.equal((await partner(['consume', 'shared'])).stdout, '{"a":1}\n')
    const refused = await partner(['publish', 'shared', '{"a":2}'])
    assert.equal(refused.code, 78)
    assert.match(refused.stderr, /the right of a producer.*ACCESS_DENIED/)
    assert.match((await partner(['consume', 'talk'])).stderr, /STREAM_UNKNOWN/)
    await good(['revoke', 'shared', `client:${given.actor.id}`])
    assert.match((await partner(['consume', 'shared'])).stderr, /STREAM_UNKNOWN/)
  })

  it('rotates and revokes secrets', async () => {
    const made = JSON.parse(await good(['clients', 'create', 'backend', '--json'])) as {
      readonly id: string
      readonly secret: string
    }
    const asClient = (secret: string) =>
      run(['streams', 'list'], '', {
        MILLRACE_URL: manager.url,
        MILLRACE_CLIENT_ID: made.id,
        MILLRACE_CLIENT_SECRET: secret,
      })
    assert.equal((await asClient(made.secret)).code, 0)
    const next = JSON.parse(await good(['clients', 'rotate', made.id, '--json'])) as { readonly secret: string }
    assert.equal((await asClient(made.secret)).code, 0)
    assert.equal((await asClient(next.secret)).code, 0)
    await good(['clients', 'rotate', made.id, '--finish'])
    const old = await asClient(made.secret)
    assert.equal(old.code, 78)
    assert.match(old.stderr, /no client has this id and secret.*TOKEN_INVALID/)
    assert.match(await good(['clients']), /backend/)
    await good(['clients', 'revoke', made.id])
    assert.equal((await asClient(next.secret)).code, 78)
  })

  it('refuses a second manager on the folder, and what is wrong with a command', async () => {
    const second = await run(['up', '--listen', '127.0.0.1:0', '--log-format', 'text'])
    assert.equal(second.code, 78)
    assert.match(second.stderr, new RegExp(`a manager is running on .* already \\(process ${manager.child.pid}\\)`))
    for (const [args, said] of [
      [['streams', 'create', 'a/b'], /STREAM_NAME_INVALID/],
      [['streams', 'create', 'talk'], /STREAM_EXISTS/],
      [['consume', 'talk', '--from', 'yesterday'], /REQUEST_INVALID/],
      [['streams', 'delete', 'talk'], /would delete talk/],
      [['grant', 'talk', 'nobody', 'consumer'], /nobody/],
      [['grant', 'talk', 'client:x', 'reader'], /reader.* is no right/],
      [['streams', 'show', 'nothing'], /STREAM_UNKNOWN/],
      [['up', '--tls-cert', 'x'], /belong together/],
    ] as const) {
      const { code, stderr, stdout } = await run(args)
      assert.notEqual(code, 0)
      assert.equal(stdout, '')
      assert.match(stderr, said)
      assert.doesNotMatch(stderr, /\n\s+at /)
    }
  })

  it('trims and deletes streams', async () => {
    await good(['streams', 'create', 'short'])
    await good(['publish', 'short', '--quiet'], '1\n2\n3\n')
    await good(['streams', 'trim', 'short', 'last:1'])
    assert.equal(await good(['consume', 'short']), '3\n')
    const shown = JSON.parse(await good(['streams', 'show', 'short', '--json'])) as {
      readonly first: number
      readonly next: number
    }
    assert.deepEqual([shown.first, shown.next], [2, 3])
    await good(['streams', 'delete', 'short', '--yes'])
    assert.match((await run(['consume', 'short'])).stderr, /STREAM_UNKNOWN/)
  })

  it('logs the administrator in once', async () => {
    using elsewhere = temporaryFolder()
    const env = { HOME: elsewhere.path, XDG_CONFIG_HOME: elsewhere.path }
    const args = ['login', manager.url, '--one-time', String(manager.oneTimeLogin)]
    // A password that is refused, or a file that is not there, once used the login up.
    const missing = await millrace([...args, '--secret-file', 'none'], { cwd: elsewhere.path, env })
    assert.match(missing.stderr, /COMMAND_USAGE/)
    const weak = await millrace([...args, '--secret-file', '-'], { cwd: elsewhere.path, env, input: 'short\n' })
    assert.match(weak.stderr, /PASSWORD_WEAK/)
    const first = await millrace(args, { cwd: elsewhere.path, env })
    assert.equal(first.code, 0, first.stderr)
    assert.match((await millrace(['streams'], { cwd: elsewhere.path, env })).stdout, /talk/)
    const again = await millrace(args, { cwd: elsewhere.path, env })
    assert.equal(again.code, 78)
    assert.match(again.stderr, /this login is not known, or was used/)
  })

  // Both kept the token of the manager that was killed, and ended with TOKEN_INVALID.
  it('goes on publishing and following when the manager was killed and started again', async () => {
    await good(['streams', 'create', 'lasting'])
    const follower = start(['consume', 'lasting', '--follow'], { cwd: folder.path })
    const publisher = start(['publish', 'lasting'], { cwd: folder.path })
    const published = collected(publisher)
    let said = ''
    follower.stdout?.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
    publisher.stdin?.write('{"a":1}\n')
    await eventually(() => said === '{"a":1}\n', 'the first record')
    await manager.stop('SIGKILL')
    manager = await up(folder.path, ['--listen', new URL(manager.url).host])
    publisher.stdin?.end('{"a":2}\n')
    const { code, stderr } = await published
    assert.equal(code, 0, stderr)
    await eventually(() => said === '{"a":1}\n{"a":2}\n', 'each record once')
    follower.kill('SIGINT')
    await once(follower, 'close')
  })

  it('stops cleanly, and goes on where it was', async () => {
    assert.equal(await manager.stop('SIGINT'), 0)
    assert.equal(existsSync(join(folder.path, '.millrace/manager.json')), false)
    assert.match((await run(['streams'])).stderr, /MANAGER_UNKNOWN/)
    manager = await up(folder.path)
    assert.equal(manager.oneTimeLogin === undefined, true)
    assert.equal(await good(['consume', 'chat', '--limit', '1']), 'hello\n')
    const note = JSON.parse(readFileSync(join(folder.path, '.millrace/manager.json'), 'utf8')) as {
      readonly url: string
    }
    assert.equal(note.url, manager.url)
  })
})
