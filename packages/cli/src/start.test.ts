import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { commandTable } from './commands/table.ts'
import { bin, collected, millrace, start, temporaryFolder } from './fixtures/program.ts'

const here = { cwd: import.meta.dirname }

test('--help names every command and gives examples, --version the version', async () => {
  const help = await millrace(['--help'], here)
  assert.equal(help.code, 0)
  assert.equal(help.stderr, '')
  for (const { path } of commandTable) assert.match(help.stdout, new RegExp(`^  ${path} `, 'm'))
  assert.match(help.stdout, /^ {2}\$ millrace demo$/m)
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  assert.equal((await millrace(['--version'], here)).stdout, `${version}\n`)
})

// How long that takes is measured by `npm run bench -- startup`.
test('--help loads what lists the commands, and nothing else', () => {
  const tellLoaded = `import { registerHooks } from 'node:module'
    const loaded = []
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
    process.on('exit', () => process.stderr.write(JSON.stringify(loaded)))`
  const hook = `data:text/javascript,${encodeURIComponent(tellLoaded)}`
  const { stderr } = spawnSync(process.execPath, ['--import', hook, bin, '--help'], { encoding: 'utf8' })
  const files = (JSON.parse(stderr) as string[]).filter((url) => url.startsWith('file:'))
  assert.ok(files.length > 1 && files.length < 10, files.join('\n'))
})

test('the help of each command has an example, its options and nothing on stderr', async () => {
  const all = await Promise.all(
    commandTable.map(async ({ path }) => ({ path, ...(await millrace([...path.split(' '), '--help'], here)) })),
  )
  for (const { path, code, stdout, stderr } of all) {
    assert.equal(code, 0, `${path}: ${stderr}`)
    assert.equal(stderr, '', path)
    assert.match(stdout, /\nExamples:\n {2}\$ /, path)
    assert.match(stdout, /--cwd/, path)
  }
})

test('the help of a connector has its settings with defaults and variables', async () => {
  const { stdout } = await millrace(['streamer', 'hello', '--help'], here)
  assert.match(stdout, /Settings of hello:\n[\s\S]*--count <n>[\s\S]*default: 1; env:\s+TAP_HELLO_COUNT/)
  assert.equal((await millrace(['help', 'tap', 'hello'], here)).stdout, stdout)
})

test('what is mistyped is told with what was meant, and exits 64', async () => {
  for (const [args, said] of [
    [['rnu'], /no command "rnu" — did you mean run\?/],
    [['state', 'lgo'], /state has no command "lgo" — did you mean state log\?/],
    [['tap', 'helo'], /no streamer is called "helo" — did you mean hello\?/],
    [['target', 'jsnol'], /no persister is called "jsnol" — did you mean jsonl\?/],
    [['tap', 'hello', '--cuont', '1'], /unknown option '--cuont' \(Did you mean --count\?\)/],
    [['runs', 'list', 'x'], /too many arguments/],
    [['run', '--from', 'hello', '--from.cuont', '1', '--to', 'jsonl'], /did you mean --from\.count/],
    [['run', '--from', 'git', '--to', 'jsonl', '--from.path'], /--from\.path needs a value/],
    [['preview', '--from', 'hello', '--limit', 'many'], /--limit must be a whole number/],
    [['streamer'], /needs the name of a streamer/],
  ] as const) {
    const { code, stdout, stderr } = await millrace(args, here)
    assert.equal(code, 64, args.join(' '))
    assert.equal(stdout, '')
    assert.match(stderr, said)
    assert.doesNotMatch(stderr, /\n\s+at /)
  }
})

test('an error is an object on stderr with --json, and has a stack trace only for MILLRACE_DEBUG', async () => {
  const { code, stderr } = await millrace(['preview', '--from', 'hello', '--limit', 'x', '--json'], here)
  assert.equal(code, 64)
  assert.deepEqual(Object.keys((JSON.parse(stderr) as { error: object }).error), [
    'message',
    'code',
    'fix',
    'retry',
    'exit',
  ])
  const debug = await millrace(['preview', '--from', 'hello', '--limit', 'x'], {
    ...here,
    env: { MILLRACE_DEBUG: '1' },
  })
  assert.match(debug.stderr, /\n\s+at /)
})

const oldNode = ['/usr/bin/node', '/usr/local/bin/node'].find(
  (node) =>
    existsSync(node) && Number.parseInt(spawnSync(node, ['-p', 'process.versions.node']).stdout.toString(), 10) < 24,
)

test('an old Node hands over to the pinned one: output, exit code and descriptors', {
  skip: oldNode === undefined && 'no Node before 24 is installed here',
}, async () => {
  using folder = temporaryFolder()
  const node = oldNode as string
  const said = await millrace(['tap', 'hello', '--count', '2'], { cwd: folder.path, node })
  assert.equal(said.code, 0)
  assert.equal(said.stdout.match(/"RECORD"/g)?.length, 2)
  assert.equal((await millrace(['rnu'], { cwd: folder.path, node })).code, 64)

  const child = start(['tap', 'hello'], { cwd: folder.path, node, env: { MILLRACE_REPORT_FD: '4' } }, [
    'ignore',
    'ignore',
    'pipe',
    'ignore',
    'pipe',
  ])
  const reports: Buffer[] = []
  child.stdio[4]?.on('data', (chunk: Buffer) => reports.push(chunk))
  assert.equal((await collected(child)).code, 0)
  assert.match(Buffer.concat(reports).toString(), /^\{"kind":"emitted".*"hello":\{"records":1/)
})

test('an old Node passes on the descriptors of `<(…)`', {
  skip: oldNode === undefined && 'no Node before 24 is installed here',
}, () => {
  const script = `"${oldNode}" "${bin}" tap hello --config <(echo '{"count":3}')`
  const { stdout, stderr } = spawnSync('bash', ['-c', script])
  assert.equal(stdout.toString().match(/"RECORD"/g)?.length, 3, stderr.toString())
})

test('an old Node with nothing to hand over to says what is needed', {
  skip: oldNode === undefined && 'no Node before 24 is installed here',
}, () => {
  using folder = temporaryFolder()
  mkdirSync(join(folder.path, 'bin'))
  copyFileSync(bin, join(folder.path, 'bin/millrace.mjs'))
  const { status, stderr } = spawnSync(oldNode as string, [join(folder.path, 'bin/millrace.mjs'), '--help'])
  assert.equal(status, 78)
  assert.match(
    stderr.toString(),
    /^Node [\d.]+ is too old: Millrace needs Node 24 or newer {3}\[NODE_TOO_OLD, after-fix\]\n {2}Install/,
  )
})

test('completions name every command, and the shell can read them', async () => {
  const { stdout } = await millrace(['completions', 'bash'], here)
  assert.equal(spawnSync('bash', ['-n'], { input: stdout }).status, 0)
  const complete = (words: string): string =>
    spawnSync('bash', [
      '-c',
      `${stdout}\nCOMP_WORDS=(${words}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _millrace; echo "\${COMPREPLY[*]}"`,
    ])
      .stdout.toString()
      .trim()
  assert.equal(complete('millrace dem'), 'demo')
  assert.equal(complete('millrace state re'), 'revert')
  assert.equal(complete('millrace tap hel'), 'hello')
  assert.equal(complete('millrace persister jsonl ver'), 'verify')
  assert.equal(complete('millrace run --fr'), '--from --from. --from-config --from-exec')
  assert.equal(complete('millrace run --to sql'), 'sqlite')
  for (const { path } of commandTable)
    for (const shell of ['zsh', 'fish']) assert.ok((await scripts(shell)).includes(path.split(' ')[0] as string))
})

const made = new Map<string, Promise<string>>()
const scripts = (shell: string): Promise<string> => {
  const known = made.get(shell) ?? millrace(['completions', shell], here).then((r) => r.stdout)
  made.set(shell, known)
  return known
}
