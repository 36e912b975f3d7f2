import { choice, type Field, flag, text } from '@millrace/sdk'

/** The settings that all SQL destinations share. */
export interface SqlSettings {
  readonly nested: 'json' | 'flatten' | 'child-tables'
  readonly mode: 'upsert' | 'append'
  readonly deletes: 'hard' | 'soft'
  readonly metadata: boolean
}

/** The declarations of {@link SqlSettings}. */
export type SqlSettingFields = { readonly [K in keyof SqlSettings]: Field<SqlSettings[K]> }

/** Declares the shared settings; a persister adds where its database is. */
export const sqlSettings: SqlSettingFields = {
  nested: choice(['json', 'flatten', 'child-tables'], {
    doc: 'Objects and arrays: json text, columns a__b, or tables of their own for arrays of objects',
    default: 'json',
  }),
  mode: choice(['upsert', 'append'], {
    doc: 'Rows with the same key properties replace each other (upsert), or every record becomes a row (append)',
    default: 'upsert',
  }),
  deletes: choice(['hard', 'soft'], {
    doc: 'What becomes of deleted rows and of other versions: removed, or kept with _sdc_deleted_at',
    default: 'hard',
  }),
  metadata: flag({ doc: 'Add the _sdc_* columns: when a record was extracted, received and stored', default: false }),
}

/** Declares `path`, the one required setting of a database that is a file. */
export const pathSetting = (doc: string, example: string): Field<string> => text({ doc, example })
