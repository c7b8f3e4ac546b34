/**
 * Days of a time zone's calendar, as numbers: days since 1970-01-01.
 *
 * Invariant: a day begins once and never comes back. It begins at the first instant at which clocks of the zone show its
 * date or a later one: after a midnight that does not exist (Beirut in spring), at the first of two midnights (Havana in
 * autumn), and a day that a zone leaves out (Apia, 2011-12-30) is over as it begins. Where clocks go back over midnight the
 * day goes on. So for every instant and day: `startOfDay(day) <= ms` exactly when `day <= dayAt(ms)`.
 *
 * Rules of zones are those of the running Node (ICU); Temporal finds the instants.
 */
import { Temporal } from 'temporal-polyfill'
import { DAY_MS } from './duration.ts'

const DAYS_PER_400_YEARS = 146_097
/** Days that Temporal has in every zone, with a margin; beyond, days are those of UTC. */
const MAX_DAY = 99_999_000
/** Instants are asked for again and again: those of today, and of the days of the values in hand. */
const MAX_KNOWN_DAYS = 50_000

/** @throws TypeError when there is no such zone */
export function assertZone(what: string, zone: string): void {
  try {
    new Temporal.ZonedDateTime(0n, zone)
  } catch (error) {
    throw new TypeError(`${what} '${zone}' is not a time zone; zones are written 'Europe/Oslo' or 'UTC'.`, {
      cause: error,
    })
  }
}

/** @returns the day as PostgreSQL's date reads it; of years 1 to 9999 */
export function dateOfDay(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10)
}

/**
 * @param text PostgreSQL's date
 * @returns infinite for an infinite date
 * @throws TypeError when it is not a date
 */
export function dayOfDate(text: string): number {
  if (text === 'infinity') return Infinity
  if (text === '-infinity') return -Infinity
  const match = /^(\d{4,})-(\d\d)-(\d\d)( BC)?$/.exec(text)
  if (match === null) throw new TypeError(`'${text}' is not a date.`)
  const year = match[4] === undefined ? Number(match[1]) : 1 - Number(match[1])
  // PostgreSQL knows years that Date does not; the calendar repeats every 400.
  const cycles = Math.floor(year / 400)
  const ms = Date.UTC(year - cycles * 400 + 2000, Number(match[2]) - 1, Number(match[3]))
  return ms / DAY_MS + (cycles - 5) * DAYS_PER_400_YEARS
}

const starts = new Map<string, Map<number, number>>()

function findStart(day: number, zone: string): number {
  const date = new Temporal.PlainDate(1970, 1, 1).add({ days: day })
  return date.toZonedDateTime({ timeZone: zone }).epochMilliseconds
}

/** @returns milliseconds since 1970 */
export function startOfDay(day: number, zone: string): number {
  if (zone === 'UTC' || Math.abs(day) > MAX_DAY) return day * DAY_MS
  const known = starts.get(zone) ?? new Map<number, number>()
  starts.set(zone, known)
  const start = known.get(day)
  if (start !== undefined) return start
  if (known.size >= MAX_KNOWN_DAYS) known.clear()
  const found = findStart(day, zone)
  known.set(day, found)
  return found
}

/** The newest day begun by then. @param ms milliseconds since 1970; infinite gives infinite */
export function dayAt(ms: number, zone: string): number {
  const day = Math.floor(ms / DAY_MS)
  if (zone === 'UTC' || !(Math.abs(day) < MAX_DAY)) return day
  // No zone was ever a whole day off.
  if (startOfDay(day + 1, zone) <= ms) return day + 1
  return startOfDay(day, zone) <= ms ? day : day - 1
}
