/** A registry of npm packages on this machine: it serves what is installed in node_modules, and nothing else. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Registry extends AsyncDisposable {
  readonly url: string
  /** Names that were asked for and are not there: libraries for other platforms. */
  readonly missing: readonly string[]
}

/** A package as one tar file, as the registry would send it. */
const tarOf = async (folder: string): Promise<Buffer> => {
  const scratch = mkdtempSync(join(tmpdir(), 'millrace-tar-'))
  try {
    symlinkSync(folder, join(scratch, 'package'))
    const child = spawn('tar', ['-C', scratch, '-ch', '--exclude=package/node_modules', '-f', '-', 'package'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const chunks: Buffer[] = []
    for await (const chunk of child.stdout) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Every copy of a package: two libraries may need two versions of a third, and one of them lies inside. */
const copiesOf = (modules: string, name: string): ReadonlyMap<string, string> => {
  const homes = readdirSync(modules).flatMap((one) =>
    one.startsWith('@') ? readdirSync(join(modules, one)).map((inner) => join(one, inner)) : [one],
  )
  const found = new Map<string, string>()
  for (const home of ['', ...homes.map((one) => join(one, 'node_modules'))]) {
    const folder = join(modules, home, name)
    const manifest = join(folder, 'package.json')
    if (!existsSync(manifest)) continue
    found.set((JSON.parse(readFileSync(manifest, 'utf8')) as { readonly version: string }).version, folder)
  }
  return found
}

/** Serves the packages of a node_modules folder on a free port of the loopback interface. */
export const serveModules = async (modules: string): Promise<Registry> => {
  const missing: string[] = []
  const tars = new Map<string, Promise<Buffer>>()
  const tar = (folder: string): Promise<Buffer> => {
    const made = tars.get(folder) ?? tarOf(folder)
    tars.set(folder, made)
    return made
  }
  const server = createServer((request, response) => {
    const answer = async (): Promise<void> => {
      const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname).slice(1)
      const [name = '', file] = path.split('/-/')
      const copies = copiesOf(modules, name)
      if (copies.size === 0) {
        missing.push(name)
        response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"not found"}')
        return
      }
      const asked = file === undefined ? undefined : copies.get(file.replace(/\.tgz$/, ''))
      if (asked !== undefined) {
        response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(await tar(asked))
        return
      }
      const { port } = server.address() as AddressInfo
      const versions: Record<string, object> = {}
      for (const [version, folder] of copies) {
        const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as object
        const integrity = `sha512-${createHash('sha512')
          .update(await tar(folder))
          .digest('base64')}`
        const tarball = `http://127.0.0.1:${port}/${name}/-/${version}.tgz`
        versions[version] = { ...manifest, dist: { tarball, integrity } }
      }
      const [latest] = copies.keys()
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ name, 'dist-tags': { latest }, versions }))
    }
    answer().catch((error: unknown) => response.writeHead(500).end(String(error)))
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    missing,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
}
