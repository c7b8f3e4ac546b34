/**
 * Inputs that know the time. Beside windows (window.ts) nothing else does: what a feature gives is a function of its
 * entity's rows and of these, so that for each it can be said when it changes next.
 */
import { assertZone, dayAt, dayOfDate } from './calendar.ts'
import { DAY_MS, type Duration, parseDuration } from './duration.ts'
import type { ColumnInput } from './entity.ts'
import { parseSlack } from './slack.ts'
import { columnOf } from './table.ts'

/** Whole calendar days from a column's day to today. */
export interface DaysSinceInput<T = unknown> {
  readonly input: 'days-since'
  readonly of: ColumnInput
  readonly zone: string
  readonly slackMs: number
  readonly $value?: T
}

/** When the current period began. */
export interface PeriodInput {
  readonly input: 'period'
  readonly periodMs: number
  readonly slackMs: number
  readonly $value?: number
}

/**
 * Whole calendar days between the day of `column`'s value in the zone and today there: 0 today, negative in the future;
 * null for null, infinite for an infinite time. It changes at midnight.
 * @param options zone: default UTC; slack: midnight may be late by up to this, for each entity by its own share
 * @throws TypeError when the column is neither a timestamp nor a date, or zone or slack are unusable
 */
export function daysSince<T extends number | string | null>(
  column: ColumnInput<T>,
  options: { readonly zone?: string; readonly slack?: Duration } = {},
): DaysSinceInput<number | (null extends T ? null : never)> {
  const { zone = 'UTC', slack } = options
  const { kind } = columnOf(column.table, column.column)
  const what = `daysSince(${column.table.id}.${column.column})`
  if (kind !== 'timestamp' && kind !== 'date')
    throw new TypeError(`${what} needs a timestamp or a date; it is ${kind}.`)
  assertZone(`Zone of ${what}`, zone)
  return { input: 'days-since', of: column, zone, slackMs: parseSlack(`Slack of ${what}`, slack, DAY_MS) }
}

/**
 * The beginning of the current period, in milliseconds since 1970: a multiple of `period`. For features that are to be
 * computed anew from time to time.
 * @throws TypeError when a duration is unusable
 */
export function refreshEvery(period: Duration, options: { readonly slack?: Duration } = {}): PeriodInput {
  const periodMs = parseDuration('refreshEvery', period)
  const slackMs = parseSlack(`Slack of refreshEvery('${period}')`, options.slack, periodMs)
  return { input: 'period', periodMs, slackMs }
}

/** @param value what compute sees of the column @returns the day of the calendar; null for null */
export function dayOfValue(value: number | string | null, zone: string): number | null {
  if (value === null) return null
  return typeof value === 'string' ? dayOfDate(value) : dayAt(value, zone)
}
