/** Errors alone, for threads: what starts with a thread should not be the whole sdk. */
export * from './error.ts'
export * from './table.ts'
