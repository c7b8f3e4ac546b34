/**
 * Inputs that know the time, for the engine: what compute receives at a clock, and when that can change next.
 *
 * Invariant: never late. Of days and periods the next change is exact; of a window it is the first instant at which a row
 * that satisfies the filter enters or leaves, whether or not the aggregate over the rows then differs: at most two wakes
 * a row, and one for all that leave in one hop.
 */
import {
  type AggregateInput,
  type DaysSinceInput,
  dayAt,
  dayOfDate,
  dayOfValue,
  entersAt,
  leavesAt,
  type PeriodInput,
  startOfDay,
} from '../define/index.ts'
import { aggregateSql, both, type Expression } from './aggregate-sql.ts'
import { readSql } from './decode.ts'
import type { ReadSlot } from './program.ts'
import type { WindowSql } from './window-sql.ts'

export interface TimedBinding {
  readonly kind: 'timed'
  readonly alias: string
  readonly slots: readonly number[]
  readonly slackMs: number
  /** @param clockMs the input's own, late by its share of the slack */
  decode(read: ReadSlot, clockMs: number): unknown
  /** The first whole millisecond of the clock, after it, at which what compute receives can differ; infinite: never. */
  nextMs(read: ReadSlot, clockMs: number): number
}

export function periodBinding(alias: string, { periodMs, slackMs }: PeriodInput): TimedBinding {
  const began = (clockMs: number) => Math.floor(clockMs / periodMs) * periodMs
  return {
    kind: 'timed',
    alias,
    slots: [],
    slackMs,
    decode: (_, clockMs) => began(clockMs),
    nextMs: (_, clockMs) => began(clockMs) + periodMs,
  }
}

/** @param column reads the value that the days are counted from */
export function daysSinceBinding(
  alias: string,
  { zone, slackMs }: DaysSinceInput,
  slots: readonly number[],
  column: (read: ReadSlot) => unknown,
): TimedBinding {
  const dayOf = (read: ReadSlot) => {
    const value = column(read)
    return typeof value === 'string' || typeof value === 'number' ? dayOfValue(value, zone) : null
  }
  return {
    kind: 'timed',
    alias,
    slots,
    slackMs,
    decode: (read, clockMs) => {
      const day = dayOf(read)
      return day === null ? null : dayAt(clockMs, zone) - day
    },
    nextMs: (read, clockMs) => (Number.isFinite(dayOf(read)) ? startOfDay(dayAt(clockMs, zone) + 1, zone) : Infinity),
  }
}

/** An aggregate over a window, in the terms of its scan. */
export interface WindowedSql {
  /** Of the aggregate, then of the first row to enter and the first to leave. */
  readonly expressions: readonly Expression[]
  binding(alias: string, slots: readonly number[]): TimedBinding
}

export function windowedSql(input: AggregateInput, { window, on, notEarly, early, type }: WindowSql): WindowedSql {
  const { expressions, decode } = aggregateSql(input)
  const kind = type === 'date' ? 'date' : 'timestamp'
  const first = (condition: string): Expression => {
    return (filter) => readSql(`min(${on}) filter (where ${both(filter, condition)})`, kind)
  }
  const at = (text: string | null): bigint | null => {
    if (text === null || text.toLowerCase().endsWith('infinity')) return null
    return BigInt(kind === 'date' ? dayOfDate(text) : text.replace(/\.0*$/, ''))
  }
  return {
    expressions: [
      ...expressions.map(
        (expression): Expression =>
          (filter) =>
            expression(both(filter, notEarly)),
      ),
      first(early),
      first(notEarly),
    ],
    binding: (alias, slots) => ({
      kind: 'timed',
      alias,
      slots,
      slackMs: window.slackMs,
      decode: (read) => decode(slots.slice(0, expressions.length).map(read)),
      nextMs: (read) => {
        const [entering = null, leaving = null] = slots.slice(expressions.length).map(read).map(at)
        return Math.min(
          entering === null ? Infinity : entersAt(window, entering),
          leaving === null ? Infinity : leavesAt(window, leaving),
        )
      },
    }),
  }
}
