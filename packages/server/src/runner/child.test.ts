import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAlive, markOf } from '../store/liveness.ts'
import { startChild } from './child.ts'

test('a child has ended also where a process that left its group writes on into its pipes', async () => {
  const chatter = 'setInterval(() => process.stderr.write("INFO still here\\n"), 20)'
  const code = `const { spawn } = require('node:child_process')
    const c = spawn(process.execPath, ['-e', ${JSON.stringify(chatter)}], { detached: true, stdio: ['ignore', 'ignore', 'inherit'] })
    process.stderr.write('PID ' + c.pid + '\\n', () => process.exit(0))`
  let pid = 0
  const child = startChild({
    argv: [process.execPath, '-e', code],
    cwd: import.meta.dirname,
    env: {},
    stdin: 'ignore',
    stdout: () => {},
    onLog: (line) => {
      if (line.startsWith('PID ')) pid = Number(line.slice(4))
    },
    graceMs: 1_000,
  })
  try {
    assert.deepEqual(await child.ended, { why: 'finished' })
  } finally {
    // It ends by itself too: its pipe is closed.
    if (pid > 0 && isAlive(markOf(pid))) process.kill(pid)
  }
})
