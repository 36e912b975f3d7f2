#!/usr/bin/env node
// `persist-stitch …` is `millrace persist-stitch …`. Plain JavaScript that any Node from 18 on can read, as millrace.mjs is.
process.argv.splice(2, 0, 'persist-stitch')
await import('./millrace.mjs')
