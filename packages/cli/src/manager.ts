/** What `import … from 'millrace/manager'` gives a program: a typed client of a manager. */
export * from '@millrace/sdk/manager'
