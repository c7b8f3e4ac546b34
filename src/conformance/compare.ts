/**
 * Source tables against the truth of the fixture, compared by PostgreSQL in the types of the columns.
 * Invariant: a difference is told with one example of each side; only the columns the truth gives are looked at.
 */
import { document, recordset } from '../connect/landing-sql.ts'
import { type Queryable, quoteIdent, quoteTable } from '../db/pool.ts'
import type { Connector, SourceRow, Table } from '../define/index.ts'
import type { Truth } from './fixture.ts'

export function tablesOf(connector: Connector): readonly Table[] {
  const tables = connector.streams.flatMap((stream) => stream.tables)
  return [...new Map(tables.map((table) => [table.id, table])).values()]
}

async function difference(database: Queryable, table: Table, truth: readonly SourceRow[]): Promise<string | null> {
  const columns = truth[0] === undefined ? table.key : Object.keys(truth[0])
  // json has no equality of its own.
  const list = columns
    .map((name) => (table.columns[name]?.kind === 'json' ? `${quoteIdent(name)}::text` : quoteIdent(name)))
    .join(', ')
  const stored = `select ${list} from ${quoteTable(table.id)}`
  const expected = `select ${list} from ${recordset(table, columns, 1, 'r')}`
  const count = async (which: string, one: string, other: string) => {
    const { rows } = await database.query<{ count: number; example: string | null }>(
      `with d as (${one} except ${other}) select count(*)::int as count, (select left(d::text, 120) from d limit 1) as example
       from d where (select count(*) from (${expected}) e) >= 0`,
      [document(table, truth)],
    )
    const { count = 0, example } = rows[0] ?? {}
    return count === 0 ? [] : [`${count} ${which}, such as ${example}`]
  }
  const found = [...(await count('missing', expected, stored)), ...(await count('too many', stored, expected))]
  return found.length === 0 ? null : `${table.id}: ${found.join('; ')}`
}

/** @returns null when every table holds what the truth says */
export async function differences(database: Queryable, connector: Connector, truth: Truth): Promise<string | null> {
  const found: string[] = []
  for (const table of tablesOf(connector)) {
    const rows = truth[table.id]
    const differs = rows === undefined ? null : await difference(database, table, rows)
    if (differs !== null) found.push(differs)
  }
  const unknown = Object.keys(truth).filter((id) => tablesOf(connector).every((table) => table.id !== id))
  if (unknown.length > 0) found.push(`the truth names tables the connector does not fill: ${unknown.join(', ')}`)
  return found.length === 0 ? null : found.join('. ')
}

export async function countRows(database: Queryable, connector: Connector): Promise<number> {
  let rows = 0
  for (const table of tablesOf(connector)) {
    const found = await database.query<{ count: number }>(`select count(*)::int as count from ${quoteTable(table.id)}`)
    rows += found.rows[0]?.count ?? 0
  }
  return rows
}

/** Every row version there is: the same text as long as nothing was written. */
export async function rowVersions(database: Queryable, connector: Connector): Promise<string> {
  const found: string[] = []
  for (const table of tablesOf(connector)) {
    const { rows } = await database.query<{ versions: string | null }>(
      `select md5(string_agg(ctid::text || xmin::text, ',' order by ctid)) as versions from ${quoteTable(table.id)}`,
    )
    found.push(`${table.id} ${rows[0]?.versions ?? 'empty'}`)
  }
  return found.join('\n')
}
