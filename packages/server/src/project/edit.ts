import { MillraceError } from '@millrace/sdk'
import { parseDocument } from 'yaml'
import type { InstalledConnector } from './installed.ts'

/** The text of a project file with a connector in it, or with another one of that name. Comments stay. Throws PROJECT_INVALID. */
export const addConnector = (source: string, connector: InstalledConnector): string => {
  const document = parseDocument(source)
  const [error] = document.errors
  if (error !== undefined)
    throw new MillraceError('PROJECT_INVALID', {
      source: 'millrace.yaml',
      problems: [error.message.split('\n')[0] ?? ''],
    })
  const { name, install, indexUrl, executable, settings } = connector
  document.setIn(['connectors', name], {
    install,
    ...(indexUrl === undefined ? {} : { 'index-url': indexUrl }),
    ...(executable === name ? {} : { executable }),
    ...(Object.keys(settings).length === 0 ? {} : { settings }),
  })
  return document.toString({ lineWidth: 0 })
}
