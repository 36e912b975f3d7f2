/** What `import … from 'millrace/testing'` gives an author: the test kits of the sdk. */
export * from '@millrace/sdk/testing'
