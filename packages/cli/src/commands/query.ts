import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { isDatabaseUrl, openDatabaseReader, sqlName } from '@millrace/connectors'
import { MillraceError } from '@millrace/sdk'
import type { CommandSource } from '../command/definition.ts'
import { count } from '../terminal/format.ts'
import { renderTable } from '../terminal/table.ts'

export const command: CommandSource = {
  doc: 'Looks into a SQLite or DuckDB file or a PostgreSQL database, read only: without a query, its tables and how many rows each has.',
  arguments: [
    { usage: '<file>', doc: 'the database file, or postgresql://…' },
    { usage: '[sql]', doc: 'a query' },
  ],
  json: true,
  examples: [
    { run: 'millrace query history.duckdb', does: 'its tables' },
    {
      run: 'millrace query history.duckdb "select author_name, count(*) from commits group by 1 order by 2 desc"',
      does: 'a query',
    },
  ],
  run: async ({ args, context }) => {
    const [file, sql] = args as readonly [string, string | undefined]
    const isUrl = isDatabaseUrl(file)
    if (!isUrl && statSync(resolve(context.cwd, file), { throwIfNoEntry: false })?.isFile() !== true)
      throw new MillraceError('COMMAND_USAGE', {
        why: `${file}: ${existsSync(resolve(context.cwd, file)) ? 'it is no file' : 'there is no such file'}`,
        fix: 'Give the path of a SQLite or DuckDB file, or the URL of a PostgreSQL database.',
      })
    await using database = await openDatabaseReader(isUrl ? file : resolve(context.cwd, file))
    if (sql === undefined) {
      const tables: { readonly table: string; readonly rows: number }[] = []
      for (const table of await database.tables())
        tables.push({
          table,
          rows: Number((await database.query(`select count(*) from ${sqlName(table)}`)).rows[0]?.[0]),
        })
      if (context.json) return context.printJson(tables)
      return context.print(
        renderTable({
          columns: ['table', { title: 'rows', align: 'right' }],
          rows: tables.map((t) => [t.table, count(t.rows)]),
          width: context.width,
          heading: context.style.dim,
        }),
      )
    }
    const { columns, rows } = await database.query(sql)
    if (context.json) return context.printJson(rows.map((r) => Object.fromEntries(columns.map((c, i) => [c, r[i]]))))
    return context.print(
      renderTable({
        columns,
        rows: rows.map((r) => r.map((v) => v ?? '')),
        width: context.width,
        heading: context.style.dim,
      }),
    )
  },
}
