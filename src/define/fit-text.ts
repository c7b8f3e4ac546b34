/**
 * Text as a cell of a column: what a source sends as text, by the kind of the column it is for.
 * Invariant: never throws; what does not fit is undefined, and nothing that fits loses a digit. Pure.
 */
import type { ColumnKind } from './column.ts'
import type { CellValue } from './message.ts'

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,4})?$/i
const WHOLE = /^([+-]?\d+)(\.0*)?$/
const EPOCH_MS = /^-?\d{1,15}$/
const ISO_DATE = /^\d{4}-\d{2}-\d{2}$/
const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})$/
/** 0001-01-01 and the end of 9999: what both ISO text and PostgreSQL read alike. */
const MIN_TIME_MS = -62_135_596_800_000
const MAX_TIME_MS = 253_402_300_799_999

function whole(value: string, bits: 32n | 64n): string | undefined {
  const digits = WHOLE.exec(value)?.[1]
  if (digits === undefined || digits.length > 20) return undefined
  const exact = BigInt(digits.replace('+', ''))
  const limit = 1n << (bits - 1n)
  return exact >= -limit && exact < limit ? exact.toString() : undefined
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

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
  // As it came: microseconds would not survive a Date.
  return value
}

function bool(value: string): boolean | undefined {
  const lower = value.toLowerCase()
  return lower === 'true' ? true : lower === 'false' ? false : undefined
}

function jsonValue(value: string): CellValue | undefined {
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

/** PostgreSQL's text and jsonb hold neither NUL, for which `mark` stands, nor half a surrogate pair. */
export function storableText(value: string, mark = '\uFFFD'): string {
  return value.toWellFormed().replaceAll('\0', mark)
}

/** @returns the cell, or undefined when `value` does not fit the kind */
export function fitText(kind: ColumnKind, value: string): CellValue | undefined {
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
    case 'uuid':
      return UUID.test(trimmed) ? trimmed.toLowerCase() : undefined
    case 'json':
      return jsonValue(trimmed)
  }
}
