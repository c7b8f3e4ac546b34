/** Months of UTC, which the histories are cut into. Pure. */
import type { Instant } from './instant.ts'

/** Months since January of year 0. */
export type Month = number

export function monthOf(instant: Instant): Month {
  const date = new Date(Number(instant / 1_000n))
  return date.getUTCFullYear() * 12 + date.getUTCMonth()
}

/** The first moment of it. */
export function beginOf(month: Month): Instant {
  const date = new Date(0)
  // Date.UTC would take the years 0 to 99 for 1900 to 1999.
  date.setUTCFullYear(Math.floor(month / 12), month % 12, 1)
  return BigInt(date.getTime()) * 1_000n
}

/** `2024_05`, as partitions are named. */
export function suffixOf(month: Month): string {
  const year = String(Math.floor(month / 12)).padStart(4, '0')
  return `${year}_${String((month % 12) + 1).padStart(2, '0')}`
}
