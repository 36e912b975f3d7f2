// A whole streamer in one script: fetches one value, says what it looks like, writes it.
//   node examples/stream-ip/stream-ip.ts | millrace persister jsonl --path out
import { writeRecord, writeSchema, writeState } from '@millrace/sdk'

const url = process.argv[2] ?? 'https://api.ipify.org?format=json'
const answer = await fetch(url)
if (!answer.ok) {
  console.error(`CRITICAL ${url} answered ${answer.status}`)
  process.exit(1)
}
const { ip } = (await answer.json()) as { readonly ip: string }
const seenAt = new Date().toISOString()

writeSchema(
  'ip',
  { type: 'object', properties: { ip: { type: 'string' }, seen_at: { type: 'string', format: 'date-time' } } },
  ['ip'],
)
writeRecord('ip', { ip, seen_at: seenAt })
writeState({ seen_at: seenAt })
