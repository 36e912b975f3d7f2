/** What `import … from 'millrace'` gives an author: the sdk. */
export * from '@millrace/sdk'
