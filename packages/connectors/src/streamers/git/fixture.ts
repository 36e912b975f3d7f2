/** Repositories for the tests, made by the real git. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type JsonObject,
  parseExact,
  resolveConfig,
  runStreamer,
  type StreamerRunOptions,
  silentLogger,
} from '@millrace/sdk'
import { git as streamer } from './index.ts'

const env = {
  ...process.env,
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_AUTHOR_NAME: 'Ann',
  GIT_AUTHOR_EMAIL: 'ann@example.com',
  GIT_COMMITTER_NAME: 'Bob',
  GIT_COMMITTER_EMAIL: 'bob@example.com',
}

/** A folder that is removed with the test. */
export class Folder implements AsyncDisposable {
  readonly path: string
  constructor(path: string) {
    this.path = path
  }
  static async make(): Promise<Folder> {
    return new Folder(await mkdtemp(join(tmpdir(), 'millrace git é ')))
  }
  at(...names: readonly string[]): string {
    return join(this.path, ...names)
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true })
  }
}

/** Runs git and answers what it printed, without the last newline. */
export const git = (path: string, ...args: readonly string[]): string =>
  execFileSync('git', ['-C', path, ...args], { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).replace(
    /\n$/,
    '',
  )

export const init = (path: string, ...args: readonly string[]): void => {
  execFileSync('git', ['init', '-q', '-b', 'main', ...args, path], { env })
}

/** Feeds `git fast-import`. */
export const fastImport = async (path: string, commands: Iterable<string | Buffer>): Promise<void> => {
  const child = spawn('git', ['-C', path, 'fast-import', '--quiet', '--force'], {
    env,
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  const done = once(child, 'exit')
  for (const c of commands) if (!child.stdin.write(c)) await once(child.stdin, 'drain')
  child.stdin.end()
  const [code] = (await done) as [number]
  if (code !== 0) throw new Error(`git fast-import ended with ${code}`)
}

export const data = (text: string): string => `data ${Buffer.byteLength(text)}\n${text}\n`

/** A line of `n` commits on a branch, each changing one of `files` files. */
export function* line(
  n: number,
  options: { readonly branch?: string; readonly from?: string; readonly files?: number } = {},
): Generator<string> {
  const { branch = 'main', from, files = 40 } = options
  for (let i = 1; i <= n; i++) {
    const who = `Ann <ann@example.com> ${1_600_000_000 + i} +0200`
    yield `commit refs/heads/${branch}\nmark :${i}\nauthor ${who}\ncommitter ${who}\n${data(`${branch} ${i}\n\nBecause of ${i}.\n`)}`
    if (i === 1 && from !== undefined) yield `from ${from}\n`
    yield `M 100644 inline d/f${i % files}.txt\n${data(`${branch}\n${i}\n`)}\n`
  }
}

export interface Read {
  readonly records: Readonly<Record<string, JsonObject[]>>
  readonly state: JsonObject
  readonly types: string[]
}

/** Reads a repository from a state. */
export const read = async (
  path: string,
  options: Partial<StreamerRunOptions> & { readonly settings?: JsonObject } = {},
): Promise<Read> => {
  const parts: Buffer[] = []
  await runStreamer(streamer, {
    command: 'sync',
    config: resolveConfig(streamer.config, { kind: 'streamer', name: 'git', file: { path, ...options.settings } })
      .config,
    log: silentLogger,
    signal: new AbortController().signal,
    ...options,
    write: async (chunk) => {
      parts.push(Buffer.from(chunk))
      await options.write?.(chunk)
    },
  })
  const messages = Buffer.concat(parts)
    .toString()
    .split('\n')
    .filter((l) => l !== '')
    .map((l) => parseExact(l) as JsonObject)
  const records: Record<string, JsonObject[]> = { commits: [], files: [], refs: [] }
  let state: JsonObject = {}
  for (const m of messages) {
    if (m['type'] === 'RECORD') records[m['stream'] as string]?.push(m['record'] as JsonObject)
    if (m['type'] === 'STATE') state = m['value'] as JsonObject
  }
  return { records, state, types: messages.map((m) => m['type'] as string) }
}

export const shas = (r: Read, substream: string = 'commits'): string[] =>
  (r.records[substream] ?? []).map((c) => c['sha'] as string)
