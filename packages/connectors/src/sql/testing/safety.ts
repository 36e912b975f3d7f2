import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type ErrorCode, isMillraceError } from '@millrace/sdk'
import { type Destination, Place, recordsOf, schemaOf, settingsOf } from './destination.ts'

const int = { type: 'integer' }
const str = { type: 'string' }
const schema = schemaOf('s', { id: int, v: str })

const coded =
  (code: ErrorCode) =>
  (e: unknown): boolean => {
    assert.ok(isMillraceError(e), String(e))
    assert.equal(e.code, code, e.message)
    assert.ok(e.fix !== '' && !e.message.includes('\n'))
    return true
  }

export const safetyTests = (d: Destination): void => {
  describe(`${d.name}: safety`, () => {
    test('what was not flushed was never there: rows, columns and tables', async () => {
      await using place = await Place.make(d)
      await place.run(schema, ['{"id":1,"v":"a"}'])
      {
        await using session = await place.open()
        await session.declare(schemaOf('s', { id: int, v: str, w: str }))
        await session.write('s', recordsOf('s', ['{"id":1,"v":"changed"}', '{"id":2,"z":1}']))
        await session.declare(schemaOf('t', { id: int }))
        await session.write('t', recordsOf('t', ['{"id":1}']))
      }
      assert.deepEqual(await place.table('s'), {
        columns: [
          { name: 'id', type: d.types.integer },
          { name: 'v', type: d.types.text },
        ],
        rows: [['1', 'a']],
      })
      assert.equal(await d.read(place.path, 't'), undefined)
      assert.deepEqual(
        (await readdir(place.folder)).filter((f) => f.includes('spool')),
        [],
      )
      await place.run(schemaOf('s', { id: int, v: str, w: str }), ['{"id":2,"w":"b"}'])
      assert.deepEqual(await place.rows('s'), [
        ['1', 'a', null],
        ['2', null, 'b'],
      ])
    })

    test('a flush with nothing new is no trouble, and an empty stream has its table', async () => {
      await using place = await Place.make(d)
      const session = await place.open()
      await session.flush()
      await session.declare(schema)
      await session.flush()
      await session.flush()
      await session[Symbol.asyncDispose]()
      assert.deepEqual(await place.rows('s'), [])
    })

    const file = { skip: d.settings !== undefined && 'a server is no file' }

    test('a second writer is told that the file is in use', file, async () => {
      await using place = await Place.make(d)
      await place.run(schema, [])
      const child = spawn(
        process.execPath,
        [join(import.meta.dirname, 'flusher.ts'), d.module, JSON.stringify(settingsOf(d, place.path)), 'hold'],
        {
          stdio: ['pipe', 'pipe', 'inherit'],
        },
      )
      try {
        await once(child.stdout, 'data')
        await assert.rejects(place.open(), coded('DESTINATION_BUSY'))
      } finally {
        child.stdin.end()
        await once(child, 'exit')
      }
      await using session = await place.open()
      await session.declare(schema)
    })

    test('what is no database is left as it is', file, async () => {
      await using place = await Place.make(d)
      await writeFile(place.path, '{"not":"a database"}\n')
      await assert.rejects(place.open(), coded('DESTINATION_REFUSED'))
      const check = d.persister.check?.(place.context())
      await assert.rejects(check ?? Promise.resolve(), coded('DESTINATION_REFUSED'))
      assert.equal(await readFile(place.path, 'utf8'), '{"not":"a database"}\n')
    })

    test('a missing folder and a folder for a file are refused in words', file, async () => {
      await using place = await Place.make(d)
      await assert.rejects(place.open({ path: join(place.folder, 'no', 'such.db') }), coded('DESTINATION_REFUSED'))
      await mkdir(join(place.folder, 'folder'))
      await assert.rejects(place.open({ path: join(place.folder, 'folder') }), coded('DESTINATION_REFUSED'))
      await assert.rejects(
        d.persister.check?.(place.context({ path: join(place.folder, 'no', 'such.db') })) ?? Promise.resolve(),
        coded('DESTINATION_REFUSED'),
      )
      await d.persister.check?.(place.context())
      assert.deepEqual((await readdir(place.folder)).sort(), ['folder'])
    })

    test(
      'a place that takes no files is refused by check, whatever its rights say',
      process.platform === 'linux' ? file : { skip: 'there is no /proc here' },
      async () => {
        // It said that the settings are good: root may write to /proc.
        await using place = await Place.make(d)
        const check = d.persister.check?.(place.context({ path: '/proc/x.db' }))
        await assert.rejects(check ?? Promise.resolve(), coded('DESTINATION_REFUSED'))
      },
    )

    test('a plan names the statements and executes none', async () => {
      await using place = await Place.make(d)
      const first = await d.persister.plan?.(place.context(), [schema])
      assert.match(first?.join('\n') ?? '', /CREATE TABLE .*"s"/)
      assert.deepEqual(await readdir(place.folder), [])
      await place.run(schema, ['{"id":1,"v":"a"}'])
      assert.deepEqual(await d.persister.plan?.(place.context(), [schema]), [])
      assert.match(
        (await d.persister.plan?.(place.context(), [schemaOf('s', { id: int, v: str, w: int })]))?.join() ?? '',
        /ADD COLUMN "w"/,
      )
      assert.deepEqual(await place.columnNames('s'), ['id', 'v'])
      // A column that comes with the first record of a version is planned where the catalog tells that one comes.
      const versioned = { ...schema, versioned: true }
      assert.match(
        (await d.persister.plan?.(place.context(), [versioned]))?.join() ?? '',
        /ADD COLUMN "_sdc_table_version"/,
      )
      await using session = await place.open()
      await session.declare(schema)
      await session.write('s', recordsOf('s', ['{"id":2,"v":"b"}'], { version: 1 }))
      await session.flush()
      assert.deepEqual(await d.persister.plan?.(place.context(), [versioned]), [])
    })

    test('verify finds a removed row, a changed value and a dropped table', async () => {
      await using place = await Place.make(d)
      const load = async (): Promise<readonly NonNullable<unknown>[]> => {
        await using session = await place.open()
        await session.declare(schema)
        await session.write('s', recordsOf('s', ['{"id":1,"v":"a"}', '{"id":2,"v":"b"}', '{"id":3,"v":null}']))
        await session.flush()
        return (await session.evidence?.()) ?? []
      }
      const ask = async (evidence: readonly unknown[]): Promise<readonly string[]> =>
        ((await d.persister.verify?.(place.context(), evidence as never)) ?? []).flatMap((f) => f.problems)
      const evidence = await load()
      assert.deepEqual(await ask(evidence), [])
      await d.execute(place.path, "UPDATE s SET v = 'B' WHERE id = 2")
      assert.match((await ask(evidence)).join(), /values in table s changed/)
      await load()
      assert.deepEqual(await ask(evidence), [])
      await d.execute(place.path, 'DELETE FROM s WHERE id = 3')
      assert.match((await ask(evidence)).join(), /has 2 rows, it had 3/)
      await d.execute(place.path, 'DROP TABLE s')
      assert.match((await ask(evidence)).join(), /table s is not there/)
    })
  })
}
