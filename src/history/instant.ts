/**
 * Points in time as whole microseconds since 1970 UTC: what PostgreSQL's timestamptz holds, without its text.
 * Invariant: nothing is rounded up. A time given more finely than a microsecond is cut, so that what is known at it was
 * known. Pure.
 */

/** Microseconds since 1970-01-01T00:00:00Z. */
export type Instant = bigint

const FORM =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,12}))?)?\s?(Z|[+-]\d{2}(?::?\d{2})?)?)?$/i

function offsetMinutes(zone: string | undefined): number | null {
  if (zone === undefined || zone.toUpperCase() === 'Z') return 0
  const hours = Number(zone.slice(1, 3))
  const minutes = Number(zone.slice(3).replace(':', ''))
  if (hours > 15 || minutes > 59) return null
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes)
}

/**
 * `2024-06-01`, `2024-06-01 12:30:00.123456+02` and the like; a date is its first moment, and no zone means UTC.
 * @returns null for what is no such time, or no day of the calendar
 */
export function parseInstant(text: string): Instant | null {
  const match = FORM.exec(text.trim())
  if (match === null) return null
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map((part) => Number(part ?? 0))
  const offset = offsetMinutes(match[8])
  if (year < 1 || hour > 23 || minute > 59 || second > 59 || offset === null) return null
  const date = new Date(0)
  // Date.UTC would take the years 1 to 99 for 1901 to 1999.
  date.setUTCFullYear(year, month - 1, day)
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null
  date.setUTCHours(hour, minute - offset, second)
  const micros = (match[7] ?? '').slice(0, 6).padEnd(6, '0')
  return BigInt(date.getTime()) * 1_000n + BigInt(micros)
}

/** ISO 8601 in UTC with six places, which PostgreSQL and `parseInstant` read back exactly. */
export function formatInstant(instant: Instant): string {
  const second = 1_000_000n
  const micros = ((instant % second) + second) % second
  const ms = Number((instant - micros) / 1_000n)
  return new Date(ms).toISOString().replace('.000Z', `.${String(micros).padStart(6, '0')}Z`)
}

/** SQL: a timestamptz as an Instant. */
export const instantSql = (expression: string) => `(extract(epoch from ${expression}) * 1000000)::bigint`
