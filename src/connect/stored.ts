/**
 * What a stream may ask of the rows it has landed: which of them a list leaves out, and how many there are.
 * Invariant: read only, outside of any transaction of the landing; the answer may be old by the time it is used.
 */
import { type Queryable, quoteIdent, quoteTable } from '../db/pool.ts'
import type { AbsentOptions, Table } from '../define/index.ts'

/** @throws TypeError when the key of the table is not one bigint column */
export async function absentKeys(
  database: Queryable,
  { table, after, upTo, present, limit }: AbsentOptions,
): Promise<readonly bigint[]> {
  const [column = '', second] = table.key
  if (second !== undefined || table.columns[column]?.kind !== 'bigint') {
    throw new TypeError(`Table '${table.id}' is not keyed by one bigint column.`)
  }
  const key = quoteIdent(column)
  const { rows } = await database.query<{ key: string }>(
    `select ${key}::text as key from ${quoteTable(table.id)}
     where ($1::bigint is null or ${key} > $1) and ($2::bigint is null or ${key} <= $2) and ${key} <> all($3::bigint[])
     order by ${key} limit $4`,
    [after?.toString() ?? null, upTo?.toString() ?? null, present.map(String), limit],
  )
  return rows.map((row) => BigInt(row.key))
}

export async function countStored(database: Queryable, table: Table): Promise<number> {
  const { rows } = await database.query<{ count: string }>(
    `select count(*)::text as count from ${quoteTable(table.id)}`,
  )
  return Number(rows[0]?.count ?? 0)
}
