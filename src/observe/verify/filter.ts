/**
 * Whether a row satisfies a declared filter.
 * Invariant: two-valued, as src/define/where.ts says: a null never makes a filter unknown.
 */
import { type AnyWhere, type ColumnKind, columnOf, type Table } from '../../define/index.ts'
import { compare, type Row } from './values.ts'

function equals(kind: ColumnKind, cell: unknown, value: unknown): boolean {
  return kind === 'json' || kind === 'text' ? cell === value : compare(kind, cell, value) === 0
}

function anyOf(kind: ColumnKind, cell: unknown, values: unknown): boolean {
  return Array.isArray(values) && values.some((value) => equals(kind, cell, value))
}

function holds(kind: ColumnKind, cell: unknown, predicate: unknown): boolean {
  const isNull = cell === null
  if (predicate === null) return isNull
  if (typeof predicate !== 'object') return !isNull && equals(kind, cell, predicate)
  if ('in' in predicate) return !isNull && anyOf(kind, cell, predicate.in)
  if ('notIn' in predicate) return isNull || !anyOf(kind, cell, predicate.notIn)
  if ('isNull' in predicate) return isNull === predicate.isNull
  if ('not' in predicate) {
    if (predicate.not === null) return !isNull
    return isNull || !equals(kind, cell, predicate.not)
  }
  if (isNull) return Object.keys(predicate).length === 0
  if ('gt' in predicate && !(compare(kind, cell, predicate.gt) > 0)) return false
  if ('gte' in predicate && !(compare(kind, cell, predicate.gte) >= 0)) return false
  if ('lt' in predicate && !(compare(kind, cell, predicate.lt) < 0)) return false
  if ('lte' in predicate && !(compare(kind, cell, predicate.lte) <= 0)) return false
  return true
}

export function satisfies(table: Table, where: AnyWhere, row: Row): boolean {
  return Object.entries(where).every(
    ([column, predicate]) =>
      predicate === undefined || holds(columnOf(table, column).kind, row[column] ?? null, predicate),
  )
}
