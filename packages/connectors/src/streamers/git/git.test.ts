import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { after, test } from 'node:test'
import type { JsonObject } from '@millrace/sdk'
import { streamerSuite } from '@millrace/sdk/testing'
import { data, fastImport, Folder, git, init, line, read, shas } from './fixture.ts'
import { git as streamer } from './index.ts'

const suiteFolder = await Folder.make()
after(() => suiteFolder[Symbol.asyncDispose]())

streamerSuite(streamer, {
  config: async () => {
    init(suiteFolder.path)
    await fastImport(suiteFolder.path, line(4000))
    git(suiteFolder.path, 'tag', '-a', 'v1', '-m', 'one', 'main~5')
    git(suiteFolder.path, 'tag', 'light', 'main~9')
    return { path: suiteFolder.path }
  },
  module: new URL('./index.ts', import.meta.url),
  incremental: true,
  stops: 4,
})

const commit = (path: string, file: string, content: string | Buffer, message: string = file): string => {
  writeFileSync(`${path}/${file}`, content)
  git(path, 'add', '-A')
  git(path, 'commit', '-q', '--allow-empty', '-m', message)
  return git(path, 'rev-parse', 'HEAD')
}
const sorted = (list: readonly string[]): string[] => [...list].sort()

test('commits, files and statistics: renames, merges, binaries, deletions, submodules', async () => {
  await using folder = await Folder.make()
  const path = folder.at('r')
  init(path)
  const first = commit(path, 'a b.txt', '1\n2\n3\n4\n5\n', 'Begin\nhere\n\nWith a body.\n\nAnd more.\n')
  git(path, 'mv', 'a b.txt', 'é.txt')
  const second = commit(path, 'bin', Buffer.from([0, 1, 2]), 'second')
  git(path, 'update-index', '--add', '--cacheinfo', `160000,${first},sub`)
  git(path, 'rm', '-q', '--cached', 'bin')
  git(path, 'commit', '-q', '-m', 'third')
  const third = git(path, 'rev-parse', 'HEAD')
  git(path, 'checkout', '-q', '-b', 'side', first)
  const side = commit(path, 'side', 's\n')
  git(path, 'checkout', '-q', '-f', 'main')
  git(path, 'merge', '-q', 'side', '-m', 'merge')
  const merge = git(path, 'rev-parse', 'HEAD')
  const r = await read(path)
  assert.deepEqual(sorted(shas(r)), sorted([first, second, third, side, merge]))
  const at = new Map((r.records['commits'] ?? []).map((c) => [c['sha'], c]))
  assert.equal(at.get(first)?.['subject'], 'Begin here')
  assert.equal(at.get(first)?.['body'], 'With a body.\n\nAnd more.')
  assert.deepEqual([at.get(first)?.['author_name'], at.get(first)?.['committer_email']], ['Ann', 'bob@example.com'])
  assert.deepEqual(
    [at.get(second)?.['files_changed'], at.get(second)?.['insertions'], at.get(second)?.['parents']],
    [2, 0, [first]],
  )
  assert.deepEqual([at.get(merge)?.['files_changed'], at.get(merge)?.['parents']], [null, [third, side]])
  const files = (sha: string): JsonObject[] => (r.records['files'] ?? []).filter((f) => f['sha'] === sha)
  const pick = (sha: string): unknown[] =>
    files(sha).map((f) => [f['change'], f['path'], f['old_path'], f['kind'], f['binary'], f['insertions']])
  assert.deepEqual(pick(first), [['added', 'a b.txt', null, 'file', false, 5]])
  assert.deepEqual(pick(second), [
    ['added', 'bin', null, 'file', true, null],
    ['renamed', 'é.txt', 'a b.txt', 'file', false, 0],
  ])
  assert.deepEqual(pick(third), [
    ['deleted', 'bin', null, 'file', true, null],
    ['added', 'sub', null, 'submodule', false, 1],
  ])
  assert.deepEqual(pick(merge), [])
})

test('what is not UTF-8, and dates beyond reason, have a decided outcome', async () => {
  await using folder = await Folder.make()
  const path = folder.at('r')
  init(path, '--bare')
  const odd = (date: string, message: Buffer, extra: Buffer | string = ''): Buffer =>
    Buffer.concat([
      Buffer.from(
        `commit refs/heads/main\nauthor Zoë <z@example.com> ${date}\ncommitter Zoë <z@example.com> ${date}\ndata ${message.length}\n`,
      ),
      message,
      Buffer.from('\n'),
      Buffer.from(extra),
      Buffer.from('\n'),
    ])
  await fastImport(path, [
    odd(
      '1600000000 -0930',
      Buffer.from('caf\xe9 \xff', 'latin1'),
      Buffer.concat([Buffer.from('M 100644 inline "f\\351.txt"\n'), Buffer.from(data('x\n'))]),
    ),
    odd(
      '1600000001 +1400',
      Buffer.from('\n\n  \nline one\r\nline two\n \n\nbody'),
      `M 100644 inline "new\\nline\\ttab"\n${data('')}`,
    ),
    odd('0 +0000', Buffer.from('')),
  ])
  git(path, 'config', 'log.showSignature', 'true')
  git(path, 'config', 'diff.noprefix', 'true')
  // A date that git itself would refuse to make.
  const tree = git(path, 'rev-parse', 'main^{tree}')
  const raw = `tree ${tree}\nparent ${git(path, 'rev-parse', 'main')}\nauthor A <a> 253402300800 +051800\ncommitter A <a> 1 +0000\n\nfar\n`
  const far = execFileSync('git', ['-C', path, 'hash-object', '-t', 'commit', '-w', '--literally', '--stdin'], {
    input: raw,
    encoding: 'utf8',
  }).trim()
  git(path, 'update-ref', 'refs/heads/main', far)
  const r = await read(path)
  const [a, b, c, d] = r.records['commits'] ?? []
  assert.equal(a?.['subject'], 'café ÿ')
  assert.deepEqual(
    [a?.['authored_at'], a?.['author_zone'], a?.['author_name']],
    ['2020-09-13T12:26:40Z', '-0930', 'Zoë'],
  )
  assert.equal(b?.['body'], 'body')
  assert.deepEqual(
    [c?.['subject'], c?.['body'], c?.['authored_at'], c?.['files_changed']],
    ['', '', '1970-01-01T00:00:00Z', 0],
  )
  assert.deepEqual([d?.['authored_at'], d?.['committed_at']], [null, '1970-01-01T00:00:01Z'])
  assert.deepEqual(
    (r.records['files'] ?? []).map((f) => f['path']),
    ['"f\\351.txt"', 'new\nline\ttab'],
  )
})

test('only what is new comes, also after a force-push whose old commits are gone', async () => {
  await using folder = await Folder.make()
  const path = folder.at('r')
  init(path)
  for (let i = 0; i < 5; i++) commit(path, `f${i}`, 'x\n')
  const one = await read(path)
  assert.equal(shas(one).length, 5)
  const nothing = await read(path, { state: one.state })
  assert.deepEqual(
    [shas(nothing), nothing.records['refs'], nothing.types.includes('ACTIVATE_VERSION')],
    [[], [], false],
  )
  const added = commit(path, 'new', 'y\n')
  const two = await read(path, { state: nothing.state })
  assert.deepEqual(shas(two), [added])
  assert.deepEqual(shas(two, 'files'), [added])
  // The last two are replaced by one, and the old ones pruned.
  git(path, 'reset', '-q', '--hard', 'HEAD~2')
  const forced = commit(path, 'forced', 'z\n')
  for (const prune of [false, true]) {
    if (prune) {
      git(path, 'reflog', 'expire', '--expire=now', '--all')
      git(path, 'gc', '-q', '--prune=now')
    }
    assert.deepEqual(shas(await read(path, { state: two.state })), [forced], prune ? 'pruned' : 'not pruned')
  }
  // A branch that shares everything brings nothing, one with a commit brings that.
  const three = await read(path, { state: two.state })
  git(path, 'checkout', '-q', '-b', 'topic', 'HEAD~1')
  assert.deepEqual(shas(await read(path, { state: three.state })), [])
  const topic = commit(path, 'topic', 't\n')
  const four = await read(path, { state: three.state })
  assert.deepEqual(shas(four), [topic])
  assert.deepEqual(
    (four.records['refs'] ?? []).map((x) => x['short_name']),
    ['main', 'topic'],
  )
})

test('a substream chosen later starts at the beginning', async () => {
  await using folder = await Folder.make()
  const path = folder.at('r')
  init(path)
  for (let i = 0; i < 4; i++) commit(path, `f${i}`, 'x\n')
  const catalog = (...names: readonly string[]): JsonObject => ({
    streams: names.map((n) => ({ tap_stream_id: n, metadata: [{ breadcrumb: [], metadata: { selected: true } }] })),
  })
  const one = await read(path, { catalog: catalog('commits') })
  assert.deepEqual([shas(one).length, shas(one, 'files').length], [4, 0])
  const two = await read(path, { catalog: catalog('commits', 'files'), state: one.state })
  assert.deepEqual([shas(two).length, shas(two, 'files').length], [0, 4])
  commit(path, 'more', 'x\n')
  const three = await read(path, { catalog: catalog('commits', 'files'), state: two.state })
  assert.deepEqual([shas(three).length, shas(three, 'files').length], [1, 1])
})

test('shallow clones: the edge is no beginning, and what comes to light behind it is read', async () => {
  await using folder = await Folder.make()
  const origin = folder.at('origin')
  init(origin)
  const all: string[] = []
  for (let i = 0; i < 10; i++) all.push(commit(origin, `f${i}`, `${i}\n`))
  const path = folder.at('clone')
  git(folder.path, 'clone', '-q', '--depth', '3', `file://${origin}`, path)
  const one = await read(path)
  assert.deepEqual(shas(one), all.slice(7))
  const edge = one.records['commits']?.[0]
  assert.deepEqual([edge?.['parents'], edge?.['files_changed']], [[all[6]], null])
  assert.deepEqual(shas(one, 'files'), all.slice(8))
  assert.deepEqual(shas(await read(path, { state: one.state })), [])
  git(path, 'fetch', '-q', '--deepen', '2')
  const two = await read(path, { state: one.state })
  assert.deepEqual(shas(two), all.slice(5, 8), 'two older ones, and the former edge with its statistics')
  assert.equal(two.records['commits']?.[2]?.['files_changed'], 1)
  all.push(commit(origin, 'new', 'x\n'))
  git(path, 'fetch', '-q', '--unshallow')
  const three = await read(path, { state: two.state })
  assert.deepEqual(shas(three), [...all.slice(0, 6), all[10]])
  assert.deepEqual(shas(three, 'files'), [...all.slice(0, 6), all[10]])
  assert.deepEqual(shas(await read(path, { state: three.state })), [])
})

test('refs: branches, tags and remotes, and those that are asked for', async () => {
  await using folder = await Folder.make()
  const path = folder.at('r')
  init(path)
  const sha = commit(path, 'f', 'x\n')
  git(path, 'tag', '-a', 'v1', '-m', 'Version one\n\nwith notes')
  git(path, 'tag', 'v2')
  git(path, 'update-ref', 'refs/remotes/origin/main', sha)
  git(path, 'update-ref', 'refs/pull/7/head', sha)
  const r = await read(path)
  const refs = new Map((r.records['refs'] ?? []).map((x) => [x['name'], x]))
  assert.deepEqual([...refs.keys()], ['refs/heads/main', 'refs/remotes/origin/main', 'refs/tags/v1', 'refs/tags/v2'])
  const v1 = refs.get('refs/tags/v1')
  assert.deepEqual([v1?.['type'], v1?.['sha'], v1?.['annotated'], v1?.['tagger_name']], ['tag', sha, true, 'Bob'])
  assert.equal(v1?.['message'], 'Version one\n\nwith notes')
  assert.equal(v1?.['tag_sha'], git(path, 'rev-parse', 'v1'))
  assert.equal(refs.get('refs/tags/v2')?.['tag_sha'], null)
  const chosen = await read(path, { settings: { refs: 'refs/pull/*,v?' } })
  assert.deepEqual(
    (chosen.records['refs'] ?? []).map((x) => x['name']),
    ['refs/pull/7/head', 'refs/tags/v1', 'refs/tags/v2'],
  )
  git(path, 'branch', '-D', '-q', '-r', 'origin/main')
  const again = await read(path, { state: r.state })
  assert.equal((again.records['refs'] ?? []).length, 3)
  assert.ok(again.types.includes('ACTIVATE_VERSION'), 'the one that is gone is dropped')
})

test('an empty repository is read, what is none is refused', async () => {
  await using folder = await Folder.make()
  const path = folder.at('r')
  init(path)
  assert.deepEqual((await read(path)).records, { commits: [], files: [], refs: [] })
  await assert.rejects(read(folder.at('absent')), { code: 'SOURCE_REFUSED' })
  await assert.rejects(
    read(folder.path),
    (e: Error & { code?: string }) => e.code === 'SOURCE_REFUSED' && /not a git repository/.test(e.message),
  )
  const paths = process.env['PATH']
  process.env['PATH'] = folder.path
  try {
    await assert.rejects(
      read(path),
      (e: Error & { code?: string }) => e.code === 'SOURCE_REFUSED' && /git was not found/.test(e.message),
    )
  } finally {
    process.env['PATH'] = paths
  }
})

test('a clone of another owner is read', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('only root can give a folder to another owner')
  await using folder = await Folder.make()
  const path = folder.at('r')
  init(path)
  commit(path, 'f', 'x\n')
  execFileSync('chown', ['-R', '12345', path])
  assert.throws(() => git(path, 'log'), /dubious ownership/)
  assert.equal(shas(await read(path)).length, 1)
})

test('a stop leaves no git behind', async () => {
  await using folder = await Folder.make()
  const path = folder.at('r')
  init(path)
  await fastImport(path, line(3000))
  const stop = new AbortController()
  const r = await read(path, { signal: stop.signal, write: () => stop.abort() })
  assert.ok(shas(r).length < 3000)
  const children = execFileSync('ps', ['-o', 'args=', '--ppid', String(process.pid)], { encoding: 'utf8' })
  assert.ok(!children.includes('git log') && !children.includes(path), children)
  const rest = await read(path, { state: r.state })
  assert.equal(new Set([...shas(r), ...shas(rest)]).size, 3000)
})

test('100,000 commits in bounded memory', async () => {
  await using folder = await Folder.make()
  const path = folder.at('r')
  init(path, '--bare')
  await fastImport(path, line(100_000, { files: 10 }))
  const child = `
    import { runStreamer, silentLogger } from ${JSON.stringify(import.meta.resolve('@millrace/sdk'))}
    import { git } from ${JSON.stringify(import.meta.resolve('./index.ts'))}
    let commits = 0
    await runStreamer(git, { command: 'sync', config: { path: process.argv[1], refs: [] }, log: silentLogger, signal: new AbortController().signal,
      write: () => {}, report: (r) => { commits = r.substreams.commits.records } })
    console.log(JSON.stringify({ commits, rss: process.resourceUsage().maxRSS / 1024 }))`
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', child, path], { encoding: 'utf8' })
  const { commits, rss } = JSON.parse(out) as { commits: number; rss: number }
  assert.equal(commits, 100_000)
  assert.ok(rss < 200, `${Math.round(rss)} MiB`)
})

test('a bookmark of another shape is refused and not taken for the beginning', async () => {
  await using folder = await Folder.make()
  const path = folder.at('r')
  init(path)
  commit(path, 'a', 'x\n')
  for (const bookmark of ['x', 5, [], {}, { heads: 'x' }]) {
    const state = { bookmarks: { commits: { bookmark } } }
    await assert.rejects(read(path, { state }), { code: 'STATE_UNREADABLE' }, JSON.stringify(bookmark))
  }
})
