/**
 * Whether a process is still the one that was noted. A process id alone is used again after a while; together with the
 * time its process started (in the kernel's own terms) it names one process for good.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** A process, for good. */
export interface ProcessMark {
  readonly pid: number
  /** When it started, as the system writes it; empty where it could not be asked. */
  readonly started: string
}

/** When a process started, or undefined where there is none (a zombie is none). */
export const processStart = (pid: number): string | undefined => {
  try {
    // Field 22, counted after the name in parentheses, which may hold anything.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : (fields[19] ?? '')
  } catch {
    if (process.platform === 'linux') return undefined
  }
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined
  } catch {
    return undefined
  }
}

/** The mark of a running process. */
export const markOf = (pid: number): ProcessMark => ({ pid, started: processStart(pid) ?? '' })

/** Whether that very process runs. */
export const isAlive = (mark: ProcessMark): boolean => {
  const started = processStart(mark.pid)
  return started !== undefined && (mark.started === '' || started === mark.started)
}
