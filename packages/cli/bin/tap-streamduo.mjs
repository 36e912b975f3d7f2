#!/usr/bin/env node
// `tap-streamduo …` is `millrace streamer streamduo …`. Plain JavaScript, as millrace.mjs is, which does the work.
process.argv.splice(2, 0, 'streamer', 'streamduo')
await import('./millrace.mjs')
