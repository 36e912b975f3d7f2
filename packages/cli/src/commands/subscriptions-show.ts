import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'
import { count, duration, moment } from '../terminal/format.ts'

export const command: CommandSource = {
  doc: 'A subscription: what it pushes where, how far it is, and how the last try went.',
  arguments: [
    { usage: '<stream>', doc: 'its name or id' },
    { usage: '<subscription>', doc: 'its id' },
  ],
  json: true,
  examples: [{ run: 'millrace subscriptions show orders 0198c1e2-…', does: 'all there is to say about it' }],
  run: async ({ args, context }) => {
    const [stream, subscription] = args as [string, string]
    const client = connect(context)
    const params = { stream, subscription }
    const [found, stat] = await Promise.all([
      client.call('getSubscription', { params }),
      client.call('getStreamStat', { params: { stream } }),
    ])
    const behind = Math.max(0, stat.next - found.position)
    if (context.json) return context.printJson({ ...found, behind })
    const rows: readonly (readonly [string, string])[] = [
      ['id', found.id],
      ['url', found.url],
      ['state', found.isPaused ? `paused; ${found.state}` : found.state],
      ['next record', `${count(found.position)} (${count(behind)} behind the end)`],
      ['failed tries', `${count(found.tries)} of ${count(found.maxTries)} of what stands there`],
      ['one push', `at most ${count(found.maxRecords)} records, ${duration(found.timeoutMs)}`],
      ['set aside', found.deadLetters === null ? 'nothing: it pauses instead' : `into the stream ${found.deadLetters}`],
      ['made', `${moment(found.createdAt)} by ${found.createdBy.type}:${found.createdBy.id}`],
    ]
    for (const [name, value] of rows) context.print(`${context.style.dim(name.padEnd(12))} ${value}\n`)
  },
}
