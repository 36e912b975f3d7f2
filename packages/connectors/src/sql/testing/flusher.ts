/**
 * A child process for the tests: writes flush after flush, and says after each how many there were. With `hold` it only
 * keeps the database open until its stdin ends.
 *
 *     node flusher.ts MODULE SETTINGS hold|FIRST
 */
import { once } from 'node:events'
import { type Persister, silentLogger } from '@millrace/sdk'
import { recordsOf, schemaOf } from './destination.ts'

/** Rows a flush adds. Each flush also writes the rows of the one before again, with its own number. */
export const rowsPerFlush = 500

const main = async (): Promise<void> => {
  const [module = '', settings = '{}', first = '0'] = process.argv.slice(2)
  const exported = Object.values((await import(module)) as Record<string, Persister>)
  const persister = exported.find((e) => e.kind === 'persister') as Persister
  const config = JSON.parse(settings) as object
  await using session = await persister.open({ config, log: silentLogger, signal: new AbortController().signal })
  const properties = { id: { type: 'integer' }, flush: { type: 'integer' }, text: { type: 'string' } }
  if (first === 'hold') {
    process.stdout.write('open\n')
    await once(process.stdin.resume(), 'end')
    return
  }
  for (let flush = Number(first); ; flush++) {
    // Every fourth flush brings a column, and the flush behind it widens that, so that changes of tables are killed too.
    const types = ['integer', 'number', 'string']
    const more = Object.fromEntries(
      Array.from({ length: Math.floor(flush / 4) }, (_, i) => [
        `more${i}`,
        { type: types[Math.min(2, flush - (i + 1) * 4)] },
      ]),
    )
    await session.declare(schemaOf('k', { ...properties, ...more }))
    const from = Math.max(0, (flush - 1) * rowsPerFlush)
    for (let at = from; at < (flush + 1) * rowsPerFlush; at += 200) {
      const ids = Array.from({ length: Math.min(200, (flush + 1) * rowsPerFlush - at) }, (_, i) => at + i)
      await session.write(
        'k',
        recordsOf(
          'k',
          ids.map(
            (id) =>
              `{"id":${id},"flush":${flush},"text":"${'x'.repeat(id % 300)}"${Object.keys(more)
                .map((k) => `,"${k}":${flush % 4 === 0 ? 5 : null}`)
                .join('')}}`,
          ),
        ),
      )
    }
    await session.flush()
    process.stdout.write(`${flush + 1}\n`)
  }
}

if (process.argv[1] === import.meta.filename) await main()
