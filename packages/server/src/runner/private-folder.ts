/** A folder that only we may read, for what a child is given as files (settings hold secrets), and the pipe between two children. */
import { execFile } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { MillraceError, systemCode } from '@millrace/sdk'

/** A pipe of the kernel, open at both ends. Both must be closed here once the children have them. */
export interface Pipe extends Disposable {
  readonly read: number
  readonly write: number
  /** Closes the reading end alone, once a child has it. */
  closeRead(): void
  /** The same of the writing end. */
  closeWrite(): void
}

export class PrivateFolder implements Disposable {
  readonly path: string

  constructor() {
    // mkdtemp makes it for its owner only.
    this.path = mkdtempSync(join(tmpdir(), 'millrace-'))
  }

  /** Writes a file for its owner only, and answers its path. */
  write(name: string, text: string): string {
    const path = join(this.path, name)
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' })
    return path
  }

  /**
   * Makes a pipe. Node gives none to its user, and what it makes for a child's stdio is a socket, which a program cannot
   * open again as /dev/stdin and which flows through us; so a named pipe is opened at both ends and loses its name.
   */
  async pipe(): Promise<Pipe> {
    const path = join(this.path, 'pipe')
    try {
      await promisify(execFile)('mkfifo', ['-m', '600', path])
    } catch (e) {
      throw new MillraceError(
        'PROCESS_NOT_STARTED',
        { what: 'the pipe between the programs', why: `mkfifo: ${systemCode(e) ?? 'it failed'}` },
        { cause: e },
      )
    }
    // The first end opens only where it need not wait for the other; after that neither does.
    const first = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const write = openSync(path, constants.O_WRONLY)
    const read = openSync(path, constants.O_RDONLY)
    closeSync(first)
    unlinkSync(path)
    const open = new Set([read, write])
    const close = (fd: number): void => {
      if (open.delete(fd)) closeSync(fd)
    }
    return {
      read,
      write,
      closeRead: () => close(read),
      closeWrite: () => close(write),
      [Symbol.dispose]: () => {
        close(read)
        close(write)
      },
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}
