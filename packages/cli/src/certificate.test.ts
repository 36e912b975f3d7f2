import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { up } from './fixtures/manager.ts'
import { millrace, temporaryFolder } from './fixtures/program.ts'

const hasOpenssl = spawnSync('openssl', ['version']).status === 0

// The note says https://127.0.0.1:…, the certificate streams.example.com: no command worked where the manager is.
test('in the folder of a manager its certificate is enough, whatever name it is for and whoever signed it', {
  skip: hasOpenssl ? false : 'needs openssl',
}, async () => {
  using folder = temporaryFolder()
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { stdio: 'ignore', cwd: folder.path })
  }
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const subject = ['-subj', '/CN=streams.example.com', '-addext', 'subjectAltName=DNS:streams.example.com']
  openssl('req', '-x509', ...ec, '-keyout', 'authority.key', '-subj', '/CN=An authority', '-out', 'authority.pem')
  openssl('req', '-new', ...ec, '-keyout', 'key.pem', ...subject, '-out', 'request.pem')
  openssl(
    ...['x509', '-req', '-in', 'request.pem', '-CA', 'authority.pem', '-CAkey', 'authority.key', '-CAcreateserial'],
    ...['-copy_extensions', 'copy', '-out', 'cert.pem'],
  )
  openssl('req', '-x509', '-key', 'key.pem', ...subject, '-out', 'other.pem')
  // Neither a key for a certificate nor a pair that does not belong together is a mistake of ours.
  for (const [cert, key] of [
    ['key.pem', 'key.pem'],
    ['authority.pem', 'key.pem'],
  ] as const) {
    const args = ['up', '--listen', '127.0.0.1:0', '--tls-cert', cert, '--tls-key', key]
    const wrong = await millrace(args, { cwd: folder.path })
    assert.equal(wrong.code, 78, wrong.stderr)
    assert.match(wrong.stderr, /are no certificate and its key \(.*MANAGER_NOT_STARTED/)
  }
  await using manager = await up(folder.path, ['--tls-cert', 'cert.pem', '--tls-key', 'key.pem'])
  assert.match(manager.url, /^https:\/\/127\.0\.0\.1:/)
  const run = (args: readonly string[], input?: string) =>
    millrace(args, { cwd: folder.path, ...(input === undefined ? {} : { input }) })
  const good = async (args: readonly string[], input?: string): Promise<string> => {
    const { code, stdout, stderr } = await run(args, input)
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
    return stdout
  }
  await good(['streams', 'create', 'orders'])
  await good(['publish', 'orders', '{"id":1}'])
  await good(['publish', 'orders'], '{"id":2}\n')
  assert.equal(await good(['consume', 'orders', '--follow', '--from', 'first', '--limit', '2']), '{"id":1}\n{"id":2}\n')
  const found = (await run(['doctor'])).stdout
  assert.match(found, /with its control plane and its log/)
  assert.match(found, /the manager is .*, as this is/)
  const piped = await run(['streamer', 'stream', '--stream', 'orders'])
  assert.equal(piped.code, 0, piped.stderr)
  await good(['streams', 'delete', 'orders', '--yes'])

  // Another that has the same key and name is another all the same.
  const file = join(folder.path, '.millrace/manager.json')
  const note = JSON.parse(readFileSync(file, 'utf8')) as object
  const certificate = readFileSync(join(folder.path, 'other.pem'), 'utf8')
  writeFileSync(file, JSON.stringify({ ...note, certificate }))
  assert.match((await run(['streams'])).stderr, /MANAGER_UNAVAILABLE/)
})
