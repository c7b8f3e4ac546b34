/**
 * HubSpot's property values, all strings or null, as cells of the declared columns.
 *
 * Invariant: never throws and never loses: a value that does not fit its column becomes null there and stands in `raw`
 * as it was; an empty string is null, because that is how HubSpot clears a property. Pure.
 */
import type { CellValue, ColumnKind, SourceRow, Table } from '../../src/define/index.ts'

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,4})?$/i
const WHOLE = /^([+-]?\d+)(\.0*)?$/
const EPOCH_MS = /^-?\d{1,15}$/
const ISO_DATE = /^\d{4}-\d{2}-\d{2}$/
const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})$/
/** 0001-01-01 and the end of 9999: what both ISO text and PostgreSQL read alike. */
const MIN_TIME_MS = -62_135_596_800_000
const MAX_TIME_MS = 253_402_300_799_999

/** undefined: does not fit. */
type Coerced = CellValue | undefined

function whole(value: string, bits: 32n | 64n): string | undefined {
  const digits = WHOLE.exec(value)?.[1]
  if (digits === undefined || digits.length > 20) return undefined
  const exact = BigInt(digits.replace('+', ''))
  const limit = 1n << (bits - 1n)
  return exact >= -limit && exact < limit ? exact.toString() : undefined
}

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** Counted by hand: a load asks this for every version of every value, and a Date costs four times as much. */
function isCalendarDate(value: string): boolean {
  if (!ISO_DATE.test(value)) return false
  const year = Number(value.slice(0, 4))
  const month = Number(value.slice(5, 7))
  const day = Number(value.slice(8, 10))
  const leap = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  return year > 0 && day > 0 && day <= (DAYS[month - 1] ?? 0) + (leap ? 1 : 0)
}

function timestamp(value: string): string | undefined {
  if (isCalendarDate(value)) return `${value}T00:00:00Z`
  if (EPOCH_MS.test(value)) {
    const ms = Number(value)
    return ms >= MIN_TIME_MS && ms <= MAX_TIME_MS ? new Date(ms).toISOString() : undefined
  }
  if (!ISO_TIME.test(value) || !isCalendarDate(value.slice(0, 10)) || Number.isNaN(Date.parse(value))) return undefined
  // As it came: HubSpot's microseconds would not survive a Date.
  return value
}

function bool(value: string): boolean | undefined {
  const lower = value.toLowerCase()
  return lower === 'true' ? true : lower === 'false' ? false : undefined
}

function jsonValue(value: string): Coerced {
  try {
    const parsed: CellValue = JSON.parse(value)
    return value.includes('\\u0000') ? undefined : parsed
  } catch {
    return undefined
  }
}

function float(value: string): number | undefined {
  const parsed = DECIMAL.test(value) ? Number(value) : Number.NaN
  return Number.isFinite(parsed) ? parsed : undefined
}

/** PostgreSQL's text holds neither NUL nor half a surrogate pair. */
function storableText(value: string): string {
  return value.toWellFormed().replaceAll('\0', '\uFFFD')
}

/** @returns the cell, or undefined when `value` does not fit the kind */
export function coerceValue(kind: ColumnKind, value: string | null | undefined): Coerced {
  if (value === null || value === undefined || value === '') return null
  if (kind === 'text') return storableText(value)
  const trimmed = value.trim()
  switch (kind) {
    case 'number':
    case 'decimal':
      return DECIMAL.test(trimmed) ? trimmed : undefined
    case 'float':
      return float(trimmed)
    case 'integer':
      return whole(trimmed, 32n)
    case 'bigint':
      return whole(trimmed, 64n)
    case 'boolean':
      return bool(trimmed)
    case 'date':
      return timestamp(trimmed)?.slice(0, 10)
    case 'timestamp':
      return timestamp(trimmed)
    case 'json':
      return jsonValue(trimmed)
  }
}

/** Columns that are not properties. */
const OWN_COLUMNS: ReadonlySet<string> = new Set(['id', 'raw'])

const known = new WeakMap<Table, readonly string[]>()

/** The HubSpot properties a table asks for: all its columns but `id` and `raw`. Found once per table. */
export function propertiesOf(table: Table): readonly string[] {
  const properties = known.get(table) ?? Object.keys(table.columns).filter((column) => !OWN_COLUMNS.has(column))
  known.set(table, properties)
  return properties
}

/** NUL is written out, because `raw` is jsonb and cannot hold it either. */
function rawText(value: string): string {
  return value.toWellFormed().replaceAll('\0', '\\u0000')
}

/** One record as a row of `table`. Every property column is present, so that a property that was unset is cleared. */
export function coerceRecord(
  table: Table,
  id: string,
  properties: Readonly<Record<string, string | null | undefined>>,
): SourceRow {
  const row: Record<string, CellValue> = { id }
  const raw: Record<string, string> = {}
  for (const property of propertiesOf(table)) {
    const kind = table.columns[property]?.kind ?? 'text'
    const value = properties[property]
    const coerced = coerceValue(kind, value)
    row[property] = coerced ?? null
    const changed = coerced === undefined || (kind === 'text' && coerced !== null && coerced !== value)
    if (changed && typeof value === 'string') raw[property] = rawText(value)
  }
  if (Object.hasOwn(table.columns, 'raw')) row.raw = Object.keys(raw).length === 0 ? null : raw
  return row
}
