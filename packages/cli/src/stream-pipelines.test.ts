import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type Up, up } from './fixtures/manager.ts'
import { eventually, millrace, start, temporaryFolder } from './fixtures/program.ts'

const tap = (...lines: readonly unknown[]): string =>
  `cat <<'END'\n${lines.map((l) => (typeof l === 'string' ? l : JSON.stringify(l))).join('\n')}\nEND\n`

const schema = (stream: string, properties: Record<string, unknown> = { id: { type: 'integer' } }) => ({
  type: 'SCHEMA',
  stream,
  schema: { type: 'object', properties },
  key_properties: ['id'],
})

describe('streams in pipelines', () => {
  const folder = temporaryFolder()
  let manager: Up
  const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}, cwd = folder.path) =>
    millrace(args, { cwd, env })
  const good = async (args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await run(args)
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
    return stdout
  }
  const rows = async (file: string, sql: string): Promise<unknown> =>
    JSON.parse(await good(['query', file, sql, '--json'])) as unknown
  /** A pipeline of the project file, whose source has grown to so many records. */
  const filled = async (pipeline: string, count: number): Promise<void> => {
    const { code, stderr } = await run(['run', pipeline], { COUNT: String(count) })
    assert.equal(code, 0, stderr)
  }
  const script = (name: string, text: string): readonly string[] => {
    writeFileSync(join(folder.path, name), text)
    return ['--from-exec', `sh ${name}`]
  }

  before(async () => {
    writeFileSync(
      join(folder.path, 'millrace.yaml'),
      `version: 1
pipelines:
  fill:
    from: { streamer: hello, config: { shape: wide, count: '\${COUNT}', stateEvery: 500 } }
    to: { persister: stream, config: { stream: orders } }
  live:
    from: { streamer: hello, config: { count: '\${COUNT}' } }
    to: { persister: stream, config: { stream: live } }
  watch:
    from: { streamer: stream, config: { stream: live, follow: '\${FOLLOW}', pollMs: 20 } }
    to: { persister: jsonl, config: { path: live } }
`,
    )
    manager = await up(folder.path)
  })
  after(async () => {
    await manager.stop('SIGKILL')
    folder[Symbol.dispose]()
  })

  it('a tap fills a stream, targets drain it, and each goes on where it was', async () => {
    const fill = async (count: number): Promise<void> => await filled('fill', count)
    const drain = ['run', '--from', 'stream', '--from.stream', 'orders', '--to', 'sqlite', '--to.path', 'orders.db']
    const copy = ['run', '--from', 'stream', '--from.stream', 'orders', '--to', 'jsonl', '--to.path', 'copies']
    await fill(2000)
    await good(drain)
    assert.deepEqual(await rows('orders.db', 'select count(*) as n, min(id) as low, max(id) as high from orders'), [
      { n: '2000', low: '1', high: '2000' },
    ])
    assert.match((await run(drain)).stderr, /found nothing new/)
    await fill(2500)
    await good(drain)
    await good(copy)
    assert.deepEqual(await rows('orders.db', 'select count(*) as n, max(id) as high from orders'), [
      { n: '2500', high: '2500' },
    ])
    const lines = readFileSync(join(folder.path, 'copies/orders.jsonl'), 'utf8').trimEnd().split('\n')
    assert.equal(lines.length, 2500)
    assert.equal((JSON.parse(lines[2499] as string) as { id: number }).id, 2500)
  })

  it('schemas, versions and deletes travel, and every digit; states of the tap do not', async () => {
    const fill = ['--to', 'stream', '--to.stream', 'facts']
    const first = script(
      'first.sh',
      tap(
        schema('facts', { id: { type: 'integer' }, n: { type: 'number' } }),
        '{"type":"RECORD","stream":"facts","record":{"id":1,"n":1234567890123456789.5},"version":1}',
        '{"type":"RECORD","stream":"facts","record":{"id":2,"n":2.5},"version":1}',
        { type: 'ACTIVATE_VERSION', stream: 'facts', version: 1 },
        { type: 'STATE', value: { at: 'secret of the tap' } },
      ),
    )
    await good(['run', ...first, ...fill])
    const drain = [
      'run',
      '--from',
      'stream',
      '--from.stream',
      'facts',
      '--to',
      'sqlite',
      '--to.path',
      'facts.db',
      '--to.deletes',
      'hard',
    ]
    await good(drain)
    const second = script(
      'second.sh',
      tap(
        schema('facts', { id: { type: 'integer' }, n: { type: 'number' } }),
        '{"type":"RECORD","stream":"facts","record":{"id":2,"n":2.75},"version":2}',
        { type: 'ACTIVATE_VERSION', stream: 'facts', version: 2 },
        { type: 'STATE', value: { at: 2 } },
      ),
    )
    await good(['run', ...second, ...fill])
    const out = await good(['streamer', 'stream', '--stream', 'facts'])
    assert.match(out, /"n":1234567890123456789\.5\},"version":1/)
    assert.doesNotMatch(out, /secret of the tap/)
    await good(drain)
    assert.deepEqual(await rows('facts.db', 'select id, n from facts'), [{ id: '2', n: '2.75' }])
  })

  it('where it goes on, the schemas in force come first; a stream made anew is not taken for the old one', async () => {
    await good([
      'run',
      ...script('one.sh', tap(schema('a'), schema('b'), '{"type":"RECORD","stream":"a","record":{"id":1}}')),
      '--to',
      'stream',
      '--to.stream',
      'again',
    ])
    const out = await good(['streamer', 'stream', '--stream', 'again'])
    const states = out.split('\n').filter((l) => l.startsWith('{"type":"STATE"'))
    writeFileSync(
      join(folder.path, 'state.json'),
      JSON.stringify((JSON.parse(states.at(-1) as string) as { value: unknown }).value),
    )
    const more = tap('{"type":"RECORD","stream":"a","record":{"id":2}}')
    await good(['publish', 'again', '{"type":"RECORD","stream":"a","record":{"id":2}}'])
    assert.ok(more.includes('"id":2'))
    const on = (await good(['streamer', 'stream', '--stream', 'again', '--state', 'state.json'])).trimEnd().split('\n')
    assert.deepEqual(
      on.map((l) => (JSON.parse(l) as { type: string; stream?: string }).type),
      ['SCHEMA', 'SCHEMA', 'RECORD', 'STATE'],
    )
    await good(['streams', 'delete', 'again', '--yes'])
    await good(['streams', 'create', 'again'])
    const refused = await run(['streamer', 'stream', '--stream', 'again', '--state', 'state.json'])
    assert.equal(refused.code, 78, refused.stderr)
    assert.match(refused.stderr, /left by another stream/)
  })

  it('a place that retention has passed is told, and nothing is left out in silence', async () => {
    await good(['streams', 'create', 'short'])
    await good(['publish', 'short', '{"n":1}'])
    const out = await good(['streamer', 'stream', '--stream', 'short'])
    const { value } = JSON.parse(out.trimEnd().split('\n').at(-1) as string) as { value: unknown }
    writeFileSync(join(folder.path, 'short.json'), JSON.stringify(value))
    for (const n of [2, 3, 4]) await good(['publish', 'short', `{"n":${n}}`])
    await good(['streams', 'trim', 'short', 'offset:3'])
    const late = await run(['streamer', 'stream', '--stream', 'short', '--state', 'short.json'])
    assert.equal(late.code, 65, late.stderr)
    assert.match(late.stderr, /LOG_OFFSET_TRIMMED/)
    assert.equal(late.stdout, '')
  })

  it('bare records become one substream, what no object is a value', async () => {
    await good(['streams', 'create', 'readings'])
    writeFileSync(join(folder.path, 'readings.jsonl'), '{"t":21.50}\n[1,2]\n"x"\n')
    await good(['publish', 'readings', '--file', 'readings.jsonl'])
    await good(['run', '--from', 'stream', '--from.stream', 'readings', '--to', 'jsonl', '--to.path', 'bare'])
    assert.equal(
      readFileSync(join(folder.path, 'bare/readings.jsonl'), 'utf8'),
      '{"t":21.50}\n{"value":[1,2]}\n{"value":"x"}\n',
    )
  })

  it('a foreign target that echoes states is a reader that acknowledges', async () => {
    await good(['run', '--from', 'hello', '--from.count', '3', '--to', 'stream', '--to.stream', 'greetings'])
    writeFileSync(
      join(folder.path, 'target.sh'),
      `while read -r line; do case "$line" in '{"type":"STATE"'*) echo "$line" | sed 's/^{"type":"STATE","value"://; s/}$//' ;; *) echo "$line" >> got.txt ;; esac; done\n`,
    )
    const drain = ['run', '--from', 'stream', '--from.stream', 'greetings', '--to-exec', 'sh target.sh']
    await good(drain)
    const got = (): readonly string[] => readFileSync(join(folder.path, 'got.txt'), 'utf8').trimEnd().split('\n')
    assert.equal(got().filter((l) => l.includes('"RECORD"')).length, 3)
    await good(drain)
    assert.equal(got().filter((l) => l.includes('"RECORD"')).length, 3)
  })

  it('followed, it goes on until it is stopped, and then knows where it was', async () => {
    await filled('live', 2)
    const child = start(['run', 'watch'], { cwd: folder.path, env: { FOLLOW: 'true' } })
    const ended = new Promise((done) => child.once('close', done))
    const file = join(folder.path, 'live/hello.jsonl')
    const count = (): number => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0)
    await eventually(() => count() === 2, 'two records')
    await filled('live', 4)
    await eventually(() => count() === 4, 'four records')
    child.kill('SIGINT')
    assert.equal(await ended, 130)
    const { code, stderr } = await run(['run', 'watch'], { FOLLOW: 'false' })
    assert.equal(code, 0, stderr)
    assert.equal(count(), 4)
  })

  it('says in words what is wrong: no manager, no such stream, credentials that are not good', async () => {
    using elsewhere = temporaryFolder()
    const told = async (env: Readonly<Record<string, string>>, cwd = elsewhere.path) => {
      const { code, stderr } = await run(['streamer', 'stream', '--stream', 'nothing'], env, cwd)
      assert.doesNotMatch(stderr, /\n\s+at /)
      return `${code} ${stderr}`
    }
    assert.match(await told({}), /^78 .*no manager runs in this project folder/s)
    assert.match(await told({}, folder.path), /^78 .*there is no stream .*nothing/s)
    assert.match(await told({ MILLRACE_URL: manager.url }), /^78 .*clientId is missing/s)
    const wrong = { MILLRACE_URL: manager.url, MILLRACE_CLIENT_ID: 'x', MILLRACE_CLIENT_SECRET: 'hunter2-hunter2' }
    const refused = await told(wrong)
    assert.match(refused, /credentials|not accepted|client/)
    assert.doesNotMatch(refused, /hunter2/)
  })
})
