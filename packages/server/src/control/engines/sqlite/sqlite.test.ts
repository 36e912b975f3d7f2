import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import type { ControlPlane } from '../../control-plane.ts'
import { controlPlaneSuite } from '../../testing/control-plane-suite.ts'
import { controlFile, openSqliteControlPlane } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-control-'))
after(() => rmSync(folder, { recursive: true, force: true }))

let made = 0
const files = new WeakMap<ControlPlane, string>()
const opened = async (file: string): Promise<ControlPlane> => {
  const plane = await openSqliteControlPlane(file)
  files.set(plane, file)
  return plane
}

controlPlaneSuite({
  name: 'sqlite',
  make: () => opened(controlFile(join(folder, String(made++)))),
  another: (first) => opened(files.get(first) ?? ''),
})
