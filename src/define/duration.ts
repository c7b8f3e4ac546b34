/** Lengths of time as a user writes them: `'30d'`, `'6h'`. Always whole, always positive, never of a varying length. */

/** A whole number of seconds, minutes, hours, days (24 hours, unless said otherwise) or weeks. */
export type Duration = `${number}${'s' | 'm' | 'h' | 'd' | 'w'}`

export const DAY_MS = 86_400_000

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: DAY_MS, w: 7 * DAY_MS }
const MAX_MS = 36_525 * DAY_MS

/**
 * @param what whose duration it is, for the message
 * @returns milliseconds
 * @throws TypeError when the text is not a duration, or it is none at all, or longer than 100 years
 */
export function parseDuration(what: string, text: string): number {
  const match = /^(\d{1,15})([smhdw])$/.exec(text)
  const ms = Number(match?.[1]) * (UNIT_MS[match?.[2] ?? ''] ?? Number.NaN)
  if (Number.isNaN(ms)) {
    throw new TypeError(`${what} '${text}' must be a whole number and one of s, m, h, d, w: '90s', '6h', '30d'.`)
  }
  if (ms <= 0 || ms > MAX_MS) throw new TypeError(`${what} '${text}' must be longer than nothing and at most 36525d.`)
  return ms
}

/** @throws TypeError as parseDuration, or when it is not a number of whole days */
export function parseDays(what: string, text: string): number {
  const days = parseDuration(what, text) / DAY_MS
  if (!Number.isInteger(days)) throw new TypeError(`${what} '${text}' must be whole days: they are days of a calendar.`)
  return days
}

/** As a person would write it: the largest unit that gives a whole number. */
export function durationText(ms: number): string {
  const unit = ['d', 'h', 'm', 's'].find((unit) => ms % (UNIT_MS[unit] ?? 1) === 0) ?? 's'
  return `${ms / (UNIT_MS[unit] ?? 1_000)}${unit}`
}
