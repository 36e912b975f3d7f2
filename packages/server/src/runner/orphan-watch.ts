/**
 * No orphans: a small shell beside the runner that holds the other end of a pipe of ours. When the runner is gone,
 * however it went, the pipe closes; then the shell kills the process groups that it was told of and removes the run's
 * private folder. Works for children that know nothing of Millrace, and hang.
 */
import { type ChildProcess, spawn } from 'node:child_process'

const script = `
groups=
while read -r word pid; do
  case $word in
    add) groups="$groups $pid" ;;
    drop) rest=; for p in $groups; do [ "$p" = "$pid" ] || rest="$rest $p"; done; groups=$rest ;;
    done) exit 0 ;;
  esac
done
for p in $groups; do kill -9 "-$p"; done
rm -rf "$1"
`

export class OrphanWatch implements Disposable {
  readonly #shell: ChildProcess

  /** `folder` is removed when the runner dies. */
  constructor(folder: string) {
    this.#shell = spawn('/bin/sh', ['-c', script, 'millrace-watch', folder], {
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
      // A session of its own: Ctrl-C in the terminal is not meant for it.
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    // Without it a run is as good as before; only a killed runner would leave its children to end by themselves.
    this.#shell.on('error', () => {})
    this.#shell.stdin?.on('error', () => {})
    this.#shell.unref()
    ;(this.#shell.stdin as unknown as { unref?: () => void } | null)?.unref?.()
  }

  /** A process group to kill. */
  add(pid: number | undefined): void {
    if (pid !== undefined) this.#tell(`add ${pid}`)
  }

  /** A process group that has ended. */
  drop(pid: number | undefined): void {
    if (pid !== undefined) this.#tell(`drop ${pid}`)
  }

  #tell(line: string): void {
    if (this.#shell.stdin?.writable === true) this.#shell.stdin.write(`${line}\n`)
  }

  [Symbol.dispose](): void {
    this.#tell('done')
    this.#shell.stdin?.end()
  }
}
