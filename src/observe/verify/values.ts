/**
 * Cells of source tables, by declared kind: what compute sees, order and equality.
 *
 * A cell is what src/db hands out: int8 as bigint, numeric and times as PostgreSQL's text (UTC), jsonb parsed, the rest
 * as JavaScript values. Invariant: order and equality are PostgreSQL's, text by the bytes of its UTF-8.
 */
import type { ColumnKind, Table } from '../../define/index.ts'
import { columnOf } from '../../define/index.ts'
import { canonical, compareDecimals, parseDecimal } from './decimal.ts'

export type Row = Readonly<Record<string, unknown>>

const DAY_MICROS = 86_400_000_000n
const TIME = /^(\d+)-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?\+00)?( BC)?$/
/** Sorting asks for the same few times again and again. */
const parsed = new Map<string, bigint>()
const MAX_PARSED = 10_000

/** Microseconds since 1970 UTC of a date or timestamp in PostgreSQL's text form; a number is milliseconds since 1970. */
export function microseconds(time: unknown): bigint | number {
  if (typeof time === 'number') return BigInt(Math.round(time * 1000))
  if (time === 'infinity') return Infinity
  if (time === '-infinity') return -Infinity
  const text = String(time)
  const known = parsed.get(text)
  if (known !== undefined) return known
  if (parsed.size >= MAX_PARSED) parsed.clear()
  const micros = parseTime(text)
  parsed.set(text, micros)
  return micros
}

function parseTime(time: string): bigint {
  const match = TIME.exec(time)
  if (match === null) throw new TypeError(`'${time}' is not a date or a time in UTC.`)
  const [, year, month, day, hour = 0, minute = 0, second = 0, fraction = '', era] = match
  const midnight = new Date(0).setUTCFullYear(
    era === undefined ? Number(year) : 1 - Number(year),
    Number(month) - 1,
    Number(day),
  )
  const seconds = (Number(hour) * 60 + Number(minute)) * 60 + Number(second)
  const days = BigInt(midnight / 86_400_000)
  return days * DAY_MICROS + BigInt(seconds) * 1_000_000n + BigInt(fraction.padEnd(6, '0'))
}

/** What a compute function receives for a cell. */
export function toValue(kind: ColumnKind, cell: unknown): unknown {
  if (cell === null || cell === undefined) return null
  if (kind === 'number') return Number(cell)
  if (kind === 'timestamp') return Number(microseconds(cell)) / 1000
  return cell
}

const bySize = <T extends bigint | number | string>(a: T, b: T) => (a < b ? -1 : a > b ? 1 : 0)

/** PostgreSQL's order of floats: NaN equals itself and is greater than everything. */
function compareFloats(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b))
  return bySize(a, b)
}

/** Order of two cells that are not null; negative, 0 or positive. */
export function compare(kind: ColumnKind, a: unknown, b: unknown): number {
  switch (kind) {
    case 'uuid':
      return bySize(String(a).toLowerCase(), String(b).toLowerCase())
    case 'text':
      return a === b ? 0 : Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)))
    case 'integer':
    case 'bigint':
    case 'number':
    case 'decimal': {
      const [left, right] = [parseDecimal(String(a)), parseDecimal(String(b))]
      return left === null || right === null ? compareFloats(Number(a), Number(b)) : compareDecimals(left, right)
    }
    case 'float':
      return compareFloats(Number(a), Number(b))
    case 'boolean':
      return Number(a === true) - Number(b === true)
    case 'date':
    case 'timestamp':
      return bySize(microseconds(a), microseconds(b))
    case 'json':
      throw new TypeError('json has no order.')
  }
}

/** The same text for cells that are equal, different texts otherwise. The cell is not null. */
export function identity(kind: ColumnKind, cell: unknown): string {
  if (kind !== 'number' && kind !== 'decimal') return String(cell)
  const decimal = parseDecimal(String(cell))
  return decimal === null ? String(cell) : canonical(decimal)
}

/** The same text for the same row of a table. */
export function rowKey(table: Table, row: Row): string {
  // PostgreSQL text holds no NUL, so it separates.
  return table.key.map((column) => identity(columnOf(table, column).kind, row[column])).join('\0')
}

/** Order of two rows by key, column by column. */
export function compareKeys(table: Table, a: Row, b: Row): number {
  for (const column of table.key) {
    const order = compare(columnOf(table, column).kind, a[column], b[column])
    if (order !== 0) return order
  }
  return 0
}
