import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DataFiles } from './harness.ts'

export const bin: string = fileURLToPath(new URL('../packages/cli/bin/millrace.mjs', import.meta.url))

/** Makes the input files with the `hello` streamer: the same arguments give the same bytes. */
export const makeData = async (dir: string, records: number): Promise<DataFiles> => {
  const make = async (name: string, settings: readonly string[]): Promise<string> => {
    const file = join(dir, `${name}.singer`)
    const out = openSync(file, 'w')
    try {
      await new Promise<void>((resolve, reject) => {
        const child = spawn(process.execPath, [bin, 'streamer', 'hello', '--count', String(records), ...settings], {
          stdio: ['ignore', out, 'inherit'],
        })
        child.on('error', reject)
        child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`hello ended with ${code}`))))
      })
    } finally {
      closeSync(out)
    }
    return file
  }
  return {
    dir,
    records,
    wide: await make('wide', ['--shape', 'wide']),
    narrow: await make('narrow', ['--shape', 'narrow']),
    updates: await make('updates', ['--shape', 'wide', '--updates', '0.3']),
  }
}
