/**
 * Windows over time: which rows are in one at an instant, and when a row enters and leaves.
 *
 * Invariant: a row enters once and leaves once, never the other way round, and all of it is arithmetic on whole
 * milliseconds of the clock: a time column's microseconds count from the next millisecond on. The clock is the input's
 * own (slack.ts). Pure.
 */
import { assertZone, dayAt, startOfDay } from './calendar.ts'
import { type Duration, durationText, parseDays, parseDuration } from './duration.ts'
import { parseSlack } from './slack.ts'
import { columnOf, type Table } from './table.ts'

export type WindowSpan =
  /** `clock - length < on <= clock` */
  | { readonly kind: 'exact'; readonly lengthMs: number }
  /** The tail moves in whole hops counted from 1970 UTC: `start <= on <= clock`, `clock - length` rounded down to a hop. */
  | { readonly kind: 'hops'; readonly lengthMs: number; readonly hopMs: number }
  /** Likewise in days of a zone's calendar: from the beginning of the day `days` before today, rounded down to a hop. */
  | { readonly kind: 'days'; readonly days: number; readonly hopDays: number; readonly zone: string }
  /** Of a date column: `today - days < on <= today`. */
  | { readonly kind: 'dates'; readonly days: number; readonly zone: string }

export type Window = WindowSpan & {
  /** Column of the rows, a timestamp or (dates) a date. */
  readonly on: string
  readonly slackMs: number
}

export interface WindowOptions<K extends string = string> {
  /** A timestamp or date column of the rows; a row without is in no window. */
  readonly on: K
  /**
   * In which steps rows leave. Default: each at its own millisecond, or with `zone` at midnight. Fewer steps are fewer
   * recomputations; the window is longer by less than one step.
   */
  readonly resolution?: Duration
  /** Days are those of its calendar, 23 or 25 hours long where clocks change. Default for date columns: UTC. */
  readonly zone?: string
  /** The input's clock may be late by up to this, each entity by its own share of it. */
  readonly slack?: Duration
}

function spanOf(what: string, kind: string, length: Duration, options: WindowOptions): WindowSpan {
  const { resolution, zone } = options
  if (zone !== undefined) assertZone(`Zone of ${what}`, zone)
  if (kind === 'date') {
    if (resolution !== undefined) throw new TypeError(`${what} takes no resolution: a date moves at midnight only.`)
    return { kind: 'dates', days: parseDays(`Length of ${what}`, length), zone: zone ?? 'UTC' }
  }
  if (resolution === undefined && zone === undefined) {
    return { kind: 'exact', lengthMs: parseDuration(`Length of ${what}`, length) }
  }
  const parse = zone === undefined ? parseDuration : parseDays
  const whole = parse(`Length of ${what}`, length)
  const hop = resolution === undefined ? 1 : parse(`Resolution of ${what}`, resolution)
  if (whole % hop !== 0) {
    throw new TypeError(`Resolution '${resolution}' of ${what} must divide its length '${length}' evenly.`)
  }
  if (zone === undefined) return { kind: 'hops', lengthMs: whole, hopMs: hop }
  return { kind: 'days', days: whole, hopDays: hop, zone }
}

/** @throws TypeError when the column is unknown or neither a timestamp nor a date, or a length or the zone is unusable */
export function defineWindow(table: Table, length: Duration, options: WindowOptions): Window {
  const { on, slack } = options
  const { kind } = columnOf(table, on)
  if (kind !== 'timestamp' && kind !== 'date') {
    throw new TypeError(`A window needs a timestamp or a date; '${table.id}.${on}' is ${kind}.`)
  }
  const what = `the window on ${table.id}.${on}`
  const span = spanOf(what, kind, length, options)
  return { ...span, on, slackMs: parseSlack(`Slack of ${what}`, slack, parseDuration(what, length)) }
}

/**
 * Where the window begins: for dates a day, else milliseconds since 1970; of the exact kinds (exact, dates) the last that
 * is not in it, of the others the first that is.
 */
export function windowStart(span: WindowSpan, clockMs: number): number {
  switch (span.kind) {
    case 'exact':
      return clockMs - span.lengthMs
    case 'hops':
      return Math.floor((clockMs - span.lengthMs) / span.hopMs) * span.hopMs
    case 'days':
      return startOfDay(firstDay(span, clockMs), span.zone)
    case 'dates':
      return dayAt(clockMs, span.zone) - span.days
  }
}

function firstDay({ days, hopDays, zone }: WindowSpan & { readonly kind: 'days' }, clockMs: number): number {
  return Math.floor((dayAt(clockMs, zone) - days) / hopDays) * hopDays
}

function floorMs(micros: bigint): number {
  const rest = ((micros % 1_000n) + 1_000n) % 1_000n
  return Number((micros - rest) / 1_000n)
}

function ceilMs(micros: bigint): number {
  return -floorMs(-micros)
}

/**
 * @param at what the row says: microseconds since 1970, for dates the day
 * @returns the first millisecond of the clock at which the row is no longer too early
 */
export function entersAt(span: WindowSpan, at: bigint): number {
  return span.kind === 'dates' ? startOfDay(Number(at), span.zone) : ceilMs(at)
}

/** The first millisecond of the clock at which a row that was in is in no longer. @param at as for entersAt */
export function leavesAt(span: WindowSpan, at: bigint): number {
  switch (span.kind) {
    case 'exact':
      return ceilMs(at) + span.lengthMs
    case 'hops':
      return (Math.floor(floorMs(at) / span.hopMs) + 1) * span.hopMs + span.lengthMs
    case 'days': {
      const { days, hopDays, zone } = span
      const day = dayAt(floorMs(at), zone)
      return startOfDay((Math.floor(day / hopDays) + 1) * hopDays + days, zone)
    }
    case 'dates':
      return startOfDay(Number(at) + span.days, span.zone)
  }
}

/** The window as a person would say it: `last 30d of created_at`. */
export function windowText(window: Window): string {
  const { on } = window
  switch (window.kind) {
    case 'exact':
      return `last ${durationText(window.lengthMs)} of ${on}`
    case 'hops':
      return `last ${durationText(window.lengthMs)} of ${on} by ${durationText(window.hopMs)}`
    case 'days':
      return `last ${window.days}d of ${on} by ${window.hopDays}d, ${window.zone}`
    case 'dates':
      return `last ${window.days}d of ${on}, ${window.zone}`
  }
}
