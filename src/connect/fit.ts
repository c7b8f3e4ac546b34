/**
 * A record as its source gives it, made into a row its table can hold.
 *
 * Invariants: a field without a column and a value that does not fit its column never fail a record: the cell is null and
 * the value stands in the json column `raw`, as it was, where the table declares one; only a key that does not fit, or a
 * column that must not be null and would be, refuses the record. A row that fits is passed on as it is. Pure.
 */
import {
  type CellValue,
  type Column,
  ExactText,
  fitText,
  type Message,
  type SourceRow,
  storableText,
  type Table,
} from '../define/index.ts'
import type { Landable } from './landing.ts'

export const RAW = 'raw'

const holdsNul = (value: string) => value.includes('\0') || !value.isWellFormed()

/** jsonb holds neither NUL nor half a surrogate pair: `mark` stands for NUL. A bigint within becomes text, whole. */
function storableJson(value: unknown, mark: string): unknown {
  let holdsBigint = false
  const json = JSON.stringify(value, (_, part: unknown) => {
    if (typeof part !== 'bigint') return part
    holdsBigint = true
    return part.toString()
  })
  if (json === undefined) return null
  if (!holdsBigint && !/\\u(0000|d[89a-f])/i.test(json) && json.isWellFormed()) return value
  const clean = (text: string) => storableText(text, mark)
  return JSON.parse(json, (_, part: unknown) => {
    if (typeof part === 'string') return clean(part)
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).map(([name, inner]) => [clean(name), inner]))
  })
}

/** @returns undefined when it does not fit */
function fitValue({ kind }: Column, value: CellValue): CellValue | undefined {
  if (value === null) return null
  if (value instanceof ExactText) return value.text
  if (kind === 'json') {
    const json = storableJson(value, '\uFFFD')
    return json === value ? value : fitJson(json)
  }
  if (typeof value === 'string') {
    if (kind === 'text') return holdsNul(value) ? storableText(value) : value
    return value === '' ? undefined : fitText(kind, value)
  }
  if (typeof value === 'object') return undefined
  if (kind === 'boolean') return typeof value === 'boolean' ? value : undefined
  if (typeof value === 'boolean') return kind === 'text' ? String(value) : undefined
  // A fraction of a millisecond has no place in ISO text made from a Date.
  const plain = kind === 'timestamp' && typeof value === 'number' ? Math.trunc(value) : value
  return fitText(kind, String(plain))
}

function fitJson(value: unknown): CellValue {
  return typeof value === 'object' || typeof value === 'string' || typeof value === 'boolean' ? value : Number(value)
}

export interface Misfit {
  readonly table: Table
  readonly field: string
  /** Kept in `raw`; otherwise the table declares no such column and the value is gone. */
  readonly kept: boolean
  readonly unknown: boolean
}

export type Fitted =
  | { readonly row: SourceRow; readonly misfits: readonly Misfit[] }
  | { readonly refused: { readonly code: string; readonly reason: string } }

const FITS: readonly Misfit[] = []

/** Only columns that are in the row are looked at: absent ones are left as they are. */
export function fitRow(table: Table, row: SourceRow): Fitted {
  const keeps = table.columns[RAW]?.kind === 'json'
  let fitted: Record<string, CellValue> | undefined
  let left: Record<string, unknown> | undefined
  const misfits: Misfit[] = []
  for (const name of Object.keys(row)) {
    const value = row[name] ?? null
    const column = Object.hasOwn(table.columns, name) ? table.columns[name] : undefined
    if (column === undefined) {
      fitted ??= { ...row }
      delete fitted[name]
      left = { ...left, [name]: value }
      misfits.push({ table, field: name, kept: keeps, unknown: true })
      continue
    }
    const cell = fitValue(column, value)
    if (cell !== undefined && (cell !== null || column.nullable)) {
      if (cell === row[name]) continue
      fitted ??= { ...row }
      fitted[name] = cell
      // NUL was replaced: what it was is kept beside.
      if (column.kind === 'text' && typeof value === 'string' && keeps) left = { ...left, [name]: value }
      continue
    }
    if (table.key.includes(name)) {
      const reason = `The key column ${table.id}.${name} (${column.kind}) cannot hold what the source sent.`
      return { refused: { code: 'CONNECT_RECORD_KEY', reason } }
    }
    if (!column.nullable) {
      const reason = `Column ${table.id}.${name} (${column.kind}) must not be null, and what the source sent does not fit it.`
      return { refused: { code: 'CONNECT_RECORD_NULL', reason } }
    }
    fitted ??= { ...row }
    fitted[name] = null
    left = { ...left, [name]: value }
    misfits.push({ table, field: name, kept: keeps, unknown: false })
  }
  const missing = table.key.find((name) => row[name] === undefined || row[name] === null)
  if (missing !== undefined) {
    return { refused: { code: 'CONNECT_RECORD_KEY', reason: `The record has no ${table.id}.${missing}, its key.` } }
  }
  if (fitted === undefined) return { row, misfits: FITS }
  if (left !== undefined && keeps) {
    const given = fitted[RAW]
    const before = typeof given === 'object' && given !== null ? given : {}
    fitted[RAW] = fitJson(storableJson({ ...before, ...left }, '\\u0000'))
  }
  return { row: fitted, misfits }
}

const refusal = (table: Table, at: SourceRow, raw: unknown, code: string, reason: string): Landable => ({
  op: 'reject',
  table,
  key: table.key.map((column) => String(at[column] ?? '')).join('/'),
  raw,
  code,
  reason,
})

type Unfitted = Exclude<Message<unknown>, { readonly op: 'checkpoint' }>

/** What is landed for a message; `onMisfit` hears of every value that found no column. */
export function fitMessage(message: Unfitted, onMisfit: (misfit: Misfit) => void): Landable {
  if (message.op === 'upsert') return fitUpsert(message, onMisfit)
  if (message.op === 'edge') {
    const { table, from, to } = message
    const key = { ...from, ...to }
    if (message.removed === true) return fitDelete({ op: 'delete', table, key, reason: 'gone' })
    const row = message.label === undefined ? key : { ...key, label: message.label }
    return fitUpsert({ op: 'upsert', table, row }, onMisfit)
  }
  if (message.op === 'delete') return fitDelete(message)
  if (message.op === 'listed') {
    // A record that cannot be landed has no row to keep either.
    return { ...message, keys: message.keys.filter((key) => 'row' in fitRow(message.table, key)) }
  }
  if (message.op !== 'replace') return message
  const rows: SourceRow[] = []
  for (const row of message.rows) {
    const fitted = fitRow(message.table, row)
    if ('refused' in fitted) {
      return refusal(
        message.table,
        row,
        { scope: message.scope, rows: message.rows },
        fitted.refused.code,
        fitted.refused.reason,
      )
    }
    for (const misfit of fitted.misfits) onMisfit(misfit)
    rows.push(fitted.row)
  }
  return { ...message, rows }
}

function fitUpsert(upsert: Extract<Unfitted, { op: 'upsert' }>, onMisfit: (misfit: Misfit) => void): Landable {
  const { table, row } = upsert
  const fitted = fitRow(table, row)
  if ('refused' in fitted) return refusal(table, row, row, fitted.refused.code, fitted.refused.reason)
  for (const misfit of fitted.misfits) onMisfit(misfit)
  return fitted.row === row ? upsert : { ...upsert, row: fitted.row }
}

function fitDelete(message: Extract<Unfitted, { op: 'delete' }>): Landable {
  const fitted = fitRow(message.table, message.key)
  if ('row' in fitted) return message
  return refusal(message.table, message.key, message.key, fitted.refused.code, fitted.refused.reason)
}
