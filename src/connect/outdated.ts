/**
 * What a table made from another one has still to do: rows whose copy is missing or differs, copies whose row is gone.
 * Invariant: asked of the tables themselves, so nothing has to be remembered and a crash loses nothing; a copy that repeats
 * what its row says is never named.
 */
import { type Queryable, quoteIdent, quoteTable } from '../db/pool.ts'
import type { Outdated, OutdatedOptions } from '../define/index.ts'

/** @throws TypeError when the keys of the two tables do not go together */
export async function outdatedRows(database: Queryable, options: OutdatedOptions): Promise<readonly Outdated[]> {
  const { of, copy, columns, limit } = options
  if (of.key.length !== copy.key.length) {
    throw new TypeError(`The keys of '${of.id}' and its copy '${copy.id}' have not the same number of columns.`)
  }
  const pairs = copy.key.map((mine, at) => [`c.${quoteIdent(mine)}`, `t.${quoteIdent(of.key[at] ?? '')}`] as const)
  const repeated = Object.entries(columns).map(
    ([mine, theirs]) => [mine, `c.${quoteIdent(mine)}::text`, `t.${quoteIdent(theirs)}::text`] as const,
  )
  const [first] = pairs
  if (first === undefined) return []
  const fields = (side: readonly (readonly [string, string])[]) =>
    `json_build_object(${side.map(([name, value]) => `'${name.replaceAll("'", "''")}', ${value}`).join(', ')})`
  const { rows } = await database.query<{ key: Outdated['key']; row: Outdated['row'] }>(
    `select ${fields(pairs.map(([mine, theirs], at) => [copy.key[at] ?? '', `coalesce(${mine}, ${theirs})::text`]))} as key,
       case when ${first[1]} is not null then ${fields(repeated.map(([name, , theirs]) => [name, theirs]))} end as row
     from ${quoteTable(of.id)} t full join ${quoteTable(copy.id)} c on ${pairs.map((pair) => pair.join(' = ')).join(' and ')}
     where ${first[0]} is null or ${first[1]} is null
       or row(${repeated.map(([, mine]) => mine).join(', ')}) is distinct from row(${repeated.map(([, , theirs]) => theirs).join(', ')})
     limit $1`,
    [limit],
  )
  return rows
}
