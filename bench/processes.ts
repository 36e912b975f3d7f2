import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Sample } from './harness.ts'

/** A shell-quoted word. */
export const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`

/**
 * Runs a command line in bash and measures it: wall time, the CPU time of everything in it, and the greatest resident
 * size of any process in it (looked at every few milliseconds).
 */
export const measureCommand = (command: string, records: number): Promise<Sample> =>
  new Promise((resolve, reject) => {
    const child = spawn('bash', ['-c', `set -o pipefail; TIMEFORMAT='%R %U %S'; time { ${command} ; }`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-10_000)
    })
    let peakKiB = 0
    const watch = setInterval(() => {
      for (const pid of descendants(child.pid as number)) peakKiB = Math.max(peakKiB, residentKiB(pid))
    }, 20)
    child.on('error', reject)
    child.on('close', (code) => {
      clearInterval(watch)
      const times = /([0-9.]+) ([0-9.]+) ([0-9.]+)\s*$/.exec(said)
      if (code !== 0 || times === null) {
        reject(new Error(`${command}\nended with ${code}: ${said}`))
        return
      }
      const [seconds, user, system] = times.slice(1).map(Number) as [number, number, number]
      resolve({ records, seconds, cpuSeconds: user + system, maxRssMiB: peakKiB / 1024 })
    })
  })

const read = (file: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return '' // the process has ended since
  }
}

const descendants = (pid: number): readonly number[] => {
  const children = read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number)
  return children.flatMap((child) => [child, ...descendants(child)])
}

const residentKiB = (pid: number): number => Number(/VmHWM:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0)
