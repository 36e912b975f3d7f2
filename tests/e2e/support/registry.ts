/** A registry of npm packages on this machine: it serves what is installed in node_modules, and nothing else. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
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

/** Serves the packages of a node_modules folder on a free port of the loopback interface. */
export const serveModules = async (modules: string): Promise<Registry> => {
  const missing: string[] = []
  const tars = new Map<string, Promise<Buffer>>()
  const tar = (name: string): Promise<Buffer> => {
    const made = tars.get(name) ?? tarOf(join(modules, name))
    tars.set(name, made)
    return made
  }
  const server = createServer((request, response) => {
    const answer = async (): Promise<void> => {
      const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname).slice(1)
      const [name = '', file] = path.split('/-/')
      if (!existsSync(join(modules, name, 'package.json'))) {
        missing.push(name)
        response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"not found"}')
        return
      }
      const body = await tar(name)
      if (file !== undefined) {
        response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(body)
        return
      }
      const manifest = JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8')) as {
        readonly version: string
      }
      const { port } = server.address() as AddressInfo
      const dist = {
        tarball: `http://127.0.0.1:${port}/${name}/-/package.tgz`,
        integrity: `sha512-${createHash('sha512').update(body).digest('base64')}`,
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end(
        JSON.stringify({
          name,
          'dist-tags': { latest: manifest.version },
          versions: { [manifest.version]: { ...manifest, dist } },
        }),
      )
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
