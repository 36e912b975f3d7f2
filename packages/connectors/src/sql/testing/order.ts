import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { JsonObject, PersisterSession } from '@millrace/sdk'
import { type Destination, Place, recordsOf, schemaOf } from './destination.ts'

const int = { type: 'integer' }
const keyless = schemaOf('t', { id: int }, [])

const activate = async (session: PersisterSession, version: number | bigint): Promise<void> =>
  await session.activateVersion?.({ type: 'ACTIVATE_VERSION', stream: 't', version, line: 9 })

/** Rows of these ids, one batch a version. */
const write = async (session: PersisterSession, version: number | bigint, ...ids: readonly number[]): Promise<void> =>
  await session.write(
    't',
    recordsOf(
      't',
      ids.map((id) => `{"id":${id}}`),
      { version },
    ),
  )

export const orderTests = (d: Destination): void => {
  describe(`${d.name}: the order within a flush`, () => {
    const within = async (
      place: Place,
      work: (session: PersisterSession) => Promise<void>,
      settings: JsonObject = {},
    ): Promise<readonly (readonly (string | null)[])[]> => {
      await using session = await place.open(settings)
      await work(session)
      await session.flush()
      await session[Symbol.asyncDispose]()
      return await place.rows('t')
    }

    // Rows without keys went into their table at once and removals waited: what came behind a removal was removed too.
    for (const [what, schema, settings] of [
      ['no keys', keyless, {}],
      ['mode append', schemaOf('t', { id: int }), { mode: 'append' }],
    ] as const)
      test(`${what}: rows behind an ACTIVATE_VERSION stay`, async () => {
        await using place = await Place.make(d)
        const rows = await within(
          place,
          async (session) => {
            await session.declare(schema)
            await write(session, 1, 1)
            await activate(session, 1)
            await write(session, 2, 2)
            await activate(session, 2)
            await write(session, 3, 3, 4)
          },
          settings,
        )
        assert.deepEqual(
          rows.map((r) => r[0]),
          ['2', '3', '4'],
        )
      })

    test('versions that a double cannot hold are told apart', async () => {
      // Nanoseconds: they were lost on records and refused in ACTIVATE_VERSION.
      await using place = await Place.make(d)
      const rows = await within(place, async (session) => {
        await session.declare(keyless)
        await write(session, 1700000000000000000n, 1)
        await write(session, 1700000000000000001n, 2)
        await activate(session, 1700000000000000001n)
      })
      assert.deepEqual(
        rows.map((r) => r[0]),
        ['2'],
      )
      const at = (await place.columnNames('t')).indexOf('_sdc_table_version')
      assert.equal(String(rows[0]?.[at]), '1700000000000000001')
    })

    test('no keys: the active row is not marked as deleted', async () => {
      await using place = await Place.make(d)
      const rows = await within(
        place,
        async (session) => {
          await session.declare(keyless)
          await write(session, 1, 1)
          await activate(session, 1)
          await write(session, 2, 2)
          await activate(session, 2)
        },
        { deletes: 'soft' },
      )
      const deleted = (await place.columnNames('t')).indexOf('_sdc_deleted_at')
      assert.deepEqual(
        rows.map((r) => [r[0], r[deleted] === null]),
        [
          ['1', false],
          ['2', true],
        ],
      )
    })

    test('rows that came before the keys went replace none that came after', async () => {
      await using place = await Place.make(d)
      const rows = await within(place, async (session) => {
        await session.declare(schemaOf('t', { id: int }))
        await session.write('t', recordsOf('t', ['{"id":1}', '{"id":2}']))
        await session.declare(keyless)
        await session.write('t', recordsOf('t', ['{"id":1}', '{"id":1}']))
      })
      assert.deepEqual(
        rows.map((r) => r[0]),
        ['1', '1', '1', '2'],
      )
    })

    // The column was found by its name, so that a field of the records decided which rows are removed.
    for (const rest of [{}, { additionalProperties: false }])
      for (const named of [true, false])
        test(`a field _sdc_table_version is not the version of its row (${named ? 'named' : 'not named'}${'additionalProperties' in rest ? ', closed' : ''})`, async () => {
          await using place = await Place.make(d)
          const own = { _sdc_table_version: int }
          await within(place, async (session) => {
            await session.declare(schemaOf('t', { id: int, ...(named ? own : {}) }, ['id'], rest))
            await session.write('t', recordsOf('t', ['{"id":1,"_sdc_table_version":3}'], { version: 5 }))
            await activate(session, 5)
            await session.write('t', recordsOf('t', ['{"id":2,"_sdc_table_version":5}'], { version: 4 }))
            await session.write('t', recordsOf('t', ['{"id":3}'], { version: 5 }))
            await activate(session, 5)
          })
          const rows = await place.rows('t')
          assert.deepEqual(
            rows.map((r) => r[0]),
            ['1', '3'],
          )
          const isKept = named || !('additionalProperties' in rest)
          assert.deepEqual(rows[0]?.slice(1).toSorted(), isKept ? ['3', '5'] : ['5'])
        })

    test('a field _sdc_deleted_at that the schema does not name is the time it was deleted', async () => {
      await using place = await Place.make(d)
      const rows = await within(
        place,
        async (session) => {
          await session.declare(schemaOf('t', { id: int }))
          await session.write('t', recordsOf('t', ['{"id":1}', '{"id":2,"_sdc_deleted_at":"2024-05-06T07:08:09Z"}']))
        },
        { deletes: 'soft' },
      )
      const { columns } = await place.table('t')
      assert.deepEqual(columns[1], { name: '_sdc_deleted_at', type: d.types.timestamp })
      assert.match(String(rows[1]?.[1]), /^2024-05-06/)
    })
  })
}
