/** What `import … from 'millrace/http'` gives an author: the HTTP kit. */
export * from '@millrace/sdk/http'
