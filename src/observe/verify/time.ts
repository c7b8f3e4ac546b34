/**
 * What inputs that know the time give at an instant, decided row by row.
 * Invariant: shares with the engine only what is declared: days of calendars, and each entity's share of a slack.
 */
import {
  type AggregateInput,
  columnOf,
  type DaysSinceInput,
  dayAt,
  dayOfDate,
  dayOfValue,
  type PeriodInput,
  type Window,
} from '../../define/index.ts'
import { microseconds, type Row, toValue } from './values.ts'

/** The part of `value` that is a whole number of `step`. */
const roundDown = (value: number, step: number) => value - (((value % step) + step) % step)

function isInWindow(window: Window, cell: unknown, clockMs: number): boolean {
  if (cell === null || cell === undefined) return false
  if (window.kind === 'dates') {
    const ageDays = dayAt(clockMs, window.zone) - dayOfDate(String(cell))
    return ageDays >= 0 && ageDays < window.days
  }
  const micros = microseconds(cell)
  const clock = BigInt(clockMs) * 1_000n
  if (typeof micros === 'number' || micros > clock) return false
  if (window.kind === 'exact') return clock - micros < BigInt(window.lengthMs) * 1_000n
  if (window.kind === 'hops') {
    return micros >= BigInt(roundDown(clockMs - window.lengthMs, window.hopMs)) * 1_000n
  }
  const { days, hopDays, zone } = window
  return dayAt(Number(micros) / 1_000, zone) >= roundDown(dayAt(clockMs, zone) - days, hopDays)
}

/** Of the rows that the input's path reaches those that are in its window. */
export function rowsInTime({ window }: AggregateInput, reached: readonly Row[], clockMs: number): readonly Row[] {
  return window === undefined ? reached : reached.filter((row) => isInWindow(window, row[window.on], clockMs))
}

export function daysSinceOf({ of, zone }: DaysSinceInput, own: Row, clockMs: number): number | null {
  const value = toValue(columnOf(of.table, of.column).kind, own[of.column])
  if (typeof value !== 'string' && typeof value !== 'number') return null
  const day = dayOfValue(value, zone)
  return day === null ? null : dayAt(clockMs, zone) - day
}

export function periodOf({ periodMs }: PeriodInput, clockMs: number): number {
  return roundDown(clockMs, periodMs)
}
