/**
 * Row filters as SQL, and as a check on the text of a changed row.
 * Invariant: `surelyFails` says true only where the SQL would say false; whatever it cannot decide counts as satisfied,
 * so pruning never loses a change.
 */

import { quoteIdent } from '../db/pool.ts'
import { type Column, columnOf, POSTGRES_TYPE, type Table } from '../define/index.ts'
import type { Row } from '../log/log.ts'

/** Collects statement parameters; `$n` of each. */
export interface Parameters {
  add(value: unknown): string
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function literal(column: Column, value: unknown): string {
  if (column.kind === 'timestamp' && typeof value === 'number') return new Date(value).toISOString()
  return String(value)
}

const COMPARISONS = { gt: '>', gte: '>=', lt: '<', lte: '<=' } as const

function conditionSql(name: string, column: Column, predicate: unknown, parameters: Parameters): string {
  const type = POSTGRES_TYPE[column.kind]
  const one = (value: unknown) => `${parameters.add(literal(column, value))}::text::${type}`
  const many = (values: readonly unknown[]) =>
    `${parameters.add(values.map((value) => literal(column, value)))}::text[]::${type}[]`
  if (predicate === null) return `${name} is null`
  if (!isObject(predicate)) return `${name} = ${one(predicate)}`
  if ('in' in predicate) return `${name} = any(${many(list(predicate.in))})`
  if ('notIn' in predicate) return `(${name} is null or ${name} <> all(${many(list(predicate.notIn))}))`
  if ('isNull' in predicate) return predicate.isNull === true ? `${name} is null` : `${name} is not null`
  if ('not' in predicate) {
    return predicate.not === null ? `${name} is not null` : `${name} is distinct from ${one(predicate.not)}`
  }
  const parts = Object.entries(COMPARISONS)
    .filter(([operator]) => operator in predicate)
    .map(([operator, sql]) => `${name} ${sql} ${one(predicate[operator])}`)
  return parts.length === 0 ? 'true' : parts.join(' and ')
}

/** `alias.column` conditions joined with and; never null for any row. */
export function whereSql(
  alias: string,
  table: Table,
  where: Readonly<Record<string, unknown>>,
  parameters: Parameters,
): string {
  const parts = Object.entries(where)
    .filter(([, predicate]) => predicate !== undefined)
    .map(([name, predicate]) =>
      conditionSql(`${alias}.${quoteIdent(name)}`, columnOf(table, name), predicate, parameters),
    )
  return parts.length === 0 ? 'true' : `coalesce(${parts.join(' and ')}, false)`
}

/** Kinds whose text form is equal exactly when the values are. */
const TEXT_EQUALS = new Set(['text', 'integer', 'bigint', 'boolean', 'date'])

function textOf(column: Column, value: unknown): string {
  return column.kind === 'boolean' ? (value === true ? 't' : 'f') : String(value)
}

function surelyFailsOne(column: Column, predicate: unknown, value: string | null): boolean {
  if (predicate === null) return value !== null
  if (!isObject(predicate)) {
    return value === null || (TEXT_EQUALS.has(column.kind) && value !== textOf(column, predicate))
  }
  if ('isNull' in predicate) return (value === null) !== predicate.isNull
  if ('in' in predicate) {
    if (value === null) return true
    return TEXT_EQUALS.has(column.kind) && !list(predicate.in).some((each) => textOf(column, each) === value)
  }
  if ('notIn' in predicate) {
    return (
      value !== null &&
      TEXT_EQUALS.has(column.kind) &&
      list(predicate.notIn).some((each) => textOf(column, each) === value)
    )
  }
  if ('not' in predicate) {
    if (predicate.not === null) return value === null
    return value !== null && TEXT_EQUALS.has(column.kind) && textOf(column, predicate.not) === value
  }
  return value === null && Object.keys(COMPARISONS).some((operator) => operator in predicate)
}

/** True when the row certainly does not satisfy the filter; a row that is not there satisfies nothing. */
export function surelyFails(table: Table, where: Readonly<Record<string, unknown>>, row: Row | null): boolean {
  if (row === null) return true
  return Object.entries(where).some(([name, predicate]) => {
    const value = row[name]
    return value !== undefined && predicate !== undefined && surelyFailsOne(columnOf(table, name), predicate, value)
  })
}
