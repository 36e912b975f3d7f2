#!/usr/bin/env node
// Starts the streamer `github` under the name that it always had, with the arguments of each of its generations:
//
//     GITHUB_ACCESS_TOKEN=… GITHUB_REPO_PATH=… stream-github [bookmark-file]
//     stream-github sync|check|discover --config FILE [--state FILE]
//     stream-github --config FILE [--state FILE] [--catalog FILE] [--discover]
//
// The first of them wrote the format 0.1, and still does. Plain JavaScript, as millrace.mjs is, which does the work.
const words = ['sync', 'check', 'discover']
const given = process.argv.slice(2)
const isFirstGeneration =
  given.length === 0 || (given.length === 1 && !given[0].startsWith('-') && !words.includes(given[0]))

process.argv.splice(
  2,
  given.length,
  'streamer',
  'github',
  ...(isFirstGeneration
    ? ['sync', '--to-format', '0.1-jsonline', ...given.flatMap((file) => ['--state', file])]
    : given),
)
await import('./millrace.mjs')
