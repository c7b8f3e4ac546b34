/**
 * Row filters as SQL, and as a check on the text of a changed row.
 * Invariants: `surelyFails` says true only where the SQL would say false; whatever it cannot decide counts as satisfied,
 * so pruning never loses a change. Filters are code, not data: their values stand in the SQL as quoted literals, so that
 * PostgreSQL converts each once per plan instead of once per row. Texts compare by bytes, whatever the database's locale.
 */

import { quoteIdent } from '../db/pool.ts'
import { type Column, columnOf, POSTGRES_TYPE, type Table } from '../define/index.ts'
import type { Row } from '../log/log.ts'
import { textArray, timestampText } from './literals.ts'

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function textForm(column: Column, value: unknown): string {
  if (column.kind === 'timestamp' && typeof value === 'number') return timestampText(value)
  if (column.kind === 'json') return JSON.stringify(value)
  return String(value)
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

const COMPARISONS = { gt: '>', gte: '>=', lt: '<', lte: '<=' } as const

function conditionSql(name: string, column: Column, predicate: unknown): string {
  const type = POSTGRES_TYPE[column.kind]
  const subject = column.kind === 'text' ? `${name} collate "C"` : name
  const one = (value: unknown) => `${quoted(textForm(column, value))}::${type}`
  const many = (values: readonly unknown[]) =>
    `${quoted(textArray(values.map((value) => textForm(column, value))))}::${type}[]`
  if (predicate === null) return `${name} is null`
  if (!isObject(predicate)) return `${subject} = ${one(predicate)}`
  if ('in' in predicate) return `${subject} = any(${many(list(predicate.in))})`
  if ('notIn' in predicate) return `(${name} is null or ${subject} <> all(${many(list(predicate.notIn))}))`
  if ('isNull' in predicate) return predicate.isNull === true ? `${name} is null` : `${name} is not null`
  if ('not' in predicate) {
    return predicate.not === null ? `${name} is not null` : `${subject} is distinct from ${one(predicate.not)}`
  }
  const parts = Object.entries(COMPARISONS)
    .filter(([operator]) => predicate[operator] !== undefined)
    .map(([operator, sql]) => `${subject} ${sql} ${one(predicate[operator])}`)
  return parts.length === 0 ? 'true' : parts.join(' and ')
}

/** `alias.column` conditions joined with and; never null for any row. 'true' for a filter without conditions. */
export function whereSql(alias: string, table: Table, where: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(where)
    .filter(([, predicate]) => predicate !== undefined)
    .map(([name, predicate]) => conditionSql(`${alias}.${quoteIdent(name)}`, columnOf(table, name), predicate))
  return parts.length === 0 ? 'true' : `coalesce(${parts.join(' and ')}, false)`
}

/** Kinds whose text form is equal exactly when the values are. */
const TEXT_EQUALS = new Set(['text', 'integer', 'bigint', 'boolean'])

/** Whether `value`, PostgreSQL's text form, certainly is (`true`) or is not (`false`) the filter's; null: cannot tell. */
function isSame(column: Column, value: string, wanted: unknown): boolean | null {
  if (!TEXT_EQUALS.has(column.kind)) return null
  return value === (column.kind === 'boolean' ? (wanted === true ? 't' : 'f') : String(wanted))
}

function surelyFailsOne(column: Column, predicate: unknown, value: string | null): boolean {
  if (predicate === null) return value !== null
  if (!isObject(predicate)) return value === null || isSame(column, value, predicate) === false
  if ('in' in predicate) {
    return value === null || list(predicate.in).every((each) => isSame(column, value, each) === false)
  }
  if ('notIn' in predicate) {
    return value !== null && list(predicate.notIn).some((each) => isSame(column, value, each) === true)
  }
  if ('isNull' in predicate) return (value === null) !== (predicate.isNull === true)
  if ('not' in predicate) {
    if (predicate.not === null) return value === null
    return value !== null && isSame(column, value, predicate.not) === true
  }
  return value === null && Object.keys(COMPARISONS).some((operator) => predicate[operator] !== undefined)
}

/** True when the row certainly does not satisfy the filter; a row that is not there satisfies nothing. */
export function surelyFails(table: Table, where: Readonly<Record<string, unknown>>, row: Row | null): boolean {
  if (row === null) return true
  return Object.entries(where).some(([name, predicate]) => {
    const value = row[name]
    return value !== undefined && predicate !== undefined && surelyFailsOne(columnOf(table, name), predicate, value)
  })
}
