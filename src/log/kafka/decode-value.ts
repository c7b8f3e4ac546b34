/**
 * One value of a Debezium envelope back into PostgreSQL's text form.
 *
 * Invariant: exact or not at all. A text that is not certainly what PostgreSQL would print is left out, and what is left
 * out counts as changed and as satisfying any filter, so nothing is missed for it.
 */

const DAY_MS = 86_400_000
/** Dates that need neither a sign nor BC. */
const [FIRST_DAY, LAST_DAY] = [-719_162, 2_932_896]
const INTEGER = /^-?\d+$/
const DECIMAL = /^-?\d+(\.\d+)?$/
const ISO_DATE = /^\d{4}-\d\d-\d\d$/
const ISO_TIME = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)?(?:\.(\d{1,6}))?(?:Z|\+00:00)$/

function dateText(value: unknown): string | undefined {
  if (typeof value === 'string') return ISO_DATE.test(value) ? value : undefined
  if (typeof value !== 'number' || !Number.isInteger(value) || value < FIRST_DAY || value > LAST_DAY) return undefined
  return new Date(value * DAY_MS).toISOString().slice(0, 10)
}

function timestampText(value: unknown): string | undefined {
  // A number counts micro- or milliseconds, by a precision that the record does not tell.
  const parts = typeof value === 'string' ? ISO_TIME.exec(value) : null
  if (parts === null) return undefined
  const [, day, time, seconds = ':00', fraction = ''] = parts
  const shown = fraction.replace(/0+$/, '')
  return `${day} ${time}${seconds}${shown === '' ? '' : `.${shown}`}+00`
}

function floatText(value: unknown): string | undefined {
  if (typeof value !== 'number') return undefined
  // Beyond, PostgreSQL and JavaScript choose exponents differently.
  const size = Math.abs(value)
  return value === 0 || (size >= 1e-4 && size < 1e15) ? String(value) : undefined
}

/** @param kind of the column as declared (src/define/column.ts) */
export function postgresText(kind: string, value: unknown): string | null | undefined {
  if (value === null) return null
  switch (kind) {
    case 'text':
    case 'uuid':
    case 'json':
      return typeof value === 'string' ? value : undefined
    case 'integer':
    case 'bigint': {
      // Beyond 2^53 the parser hands over the digits themselves.
      const text = typeof value === 'number' || typeof value === 'string' ? String(value) : ''
      return INTEGER.test(text) ? text : undefined
    }
    case 'number':
    case 'decimal':
      return typeof value === 'string' && DECIMAL.test(value) ? value : undefined
    case 'boolean':
      return typeof value === 'boolean' ? (value ? 't' : 'f') : undefined
    case 'float':
      return floatText(value)
    case 'date':
      return dateText(value)
    case 'timestamp':
      return timestampText(value)
    default:
      return undefined
  }
}
