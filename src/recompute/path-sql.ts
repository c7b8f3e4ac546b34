/**
 * The rows a path reaches, as a condition on the rows of its last table.
 * Invariant: a set. Each row of the last table is looked at once, so two ways to it, or two labels of one association,
 * never count it twice.
 */
import { quoteIdent, quoteTable } from '../db/pool.ts'
import type { Hop } from '../define/index.ts'
import { whereSql } from './where.ts'

/**
 * @param alias of the last hop's table
 * @param key SQL of the entity's key
 */
export function reachedSql(path: readonly Hop[], alias: string, key: string): string {
  const hop = path.at(-1)
  if (hop === undefined) throw new TypeError('A path needs at least one hop.')
  const before = path.slice(0, -1)
  if (hop.kind === 'foreign-key') return `${alias}.${quoteIdent(hop.column)} ${parentSql(before, key)}`
  const through = `h${path.length}`
  return (
    `${alias}.${quoteIdent(hop.table.key[0] ?? '')} in (select ${through}.${quoteIdent(hop.to)}` +
    ` from ${quoteTable(hop.through.id)} ${through}` +
    ` where ${through}.${quoteIdent(hop.from)} ${parentSql(before, key)}` +
    ` and ${whereSql(through, hop.through, hop.throughWhere)})`
  )
}

/** `= key` on the first hop, `in (keys of the rows before)` after it. */
function parentSql(path: readonly Hop[], key: string): string {
  const hop = path.at(-1)
  if (hop === undefined) return `= ${key}`
  const alias = `p${path.length}`
  const own = `${alias}.${quoteIdent(hop.table.key[0] ?? '')}`
  return `in (select ${own} from ${quoteTable(hop.table.id)} ${alias} where ${reachedSql(path, alias, key)})`
}
