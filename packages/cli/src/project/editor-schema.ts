import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { storeFolderName } from '@millrace/server'

/** Where editors look for the schema of `millrace.yaml`, seen from it. Not in git: it belongs to the version that is installed. */
export const editorSchema: string = `${storeFolderName}/millrace.schema.json`

/** Puts the schema of this version there. */
export const writeEditorSchema = (dir: string): void => {
  let home = dirname(fileURLToPath(import.meta.resolve('@millrace/server')))
  while (!existsSync(join(home, 'package.json'))) home = dirname(home)
  const schema = readFileSync(join(home, 'schema/millrace.schema.json'), 'utf8')
  const folder = join(dir, storeFolderName)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (!existsSync(join(folder, '.gitignore'))) writeFileSync(join(folder, '.gitignore'), '*\n')
  writeFileSync(join(dir, editorSchema), schema)
}

/** Renews the schema of a project that refers to it; a fresh clone of the project has none yet. */
export const renewEditorSchema = (file: string): void => {
  if (readFileSync(file, 'utf8').includes(`$schema=${editorSchema}`)) writeEditorSchema(dirname(file))
}
