/**
 * A window in SQL: conditions on the rows `r` of its scan, against two bounds that come with each key (`i`), because an
 * entity's clock is its own.
 * Invariant: the clock is a parameter, never now(): the same statement at the same clock gives the same rows.
 */
import { quoteIdent } from '../db/pool.ts'
import { dateOfDay, dayAt, type Window, windowStart } from '../define/index.ts'
import { timestampText } from './literals.ts'

export interface WindowSql {
  readonly window: Window
  readonly on: string
  /** PostgreSQL type of the bounds. */
  readonly type: 'date' | 'timestamptz'
  /** Columns of `i`. */
  readonly columns: readonly [from: string, to: string]
  /** Has not left. */
  readonly notLeft: string
  /** Has entered. */
  readonly notEarly: string
  readonly early: string
  /** Texts of the bounds. */
  bounds(clockMs: number): readonly [from: string, to: string]
}

/** @param id told apart by: no two windows of one statement have the same */
export function windowSql(window: Window, id: number): WindowSql {
  const on = `r.${quoteIdent(window.on)}`
  const columns = [`from${id}`, `to${id}`] as const
  const [from, to] = columns.map((column) => `i.${column}`)
  const isExact = window.kind === 'exact' || window.kind === 'dates'
  const common = {
    window,
    on,
    columns,
    notLeft: `${on} ${isExact ? '>' : '>='} ${from}`,
    notEarly: `${on} <= ${to}`,
    early: `${on} > ${to}`,
  }
  if (window.kind !== 'dates') {
    const bounds = (clockMs: number) => [timestampText(windowStart(window, clockMs)), timestampText(clockMs)] as const
    return { ...common, type: 'timestamptz', bounds }
  }
  const bounds = (clockMs: number) =>
    [dateOfDay(windowStart(window, clockMs)), dateOfDay(dayAt(clockMs, window.zone))] as const
  return { ...common, type: 'date', bounds }
}
