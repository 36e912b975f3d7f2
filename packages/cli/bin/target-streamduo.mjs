#!/usr/bin/env node
// `target-streamduo …` is `millrace persister streamduo …`. Plain JavaScript, as millrace.mjs is, which does the work.
process.argv.splice(2, 0, 'persister', 'streamduo')
await import('./millrace.mjs')
