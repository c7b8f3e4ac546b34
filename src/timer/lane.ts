/**
 * The lane of timers: what changes because time passes is computed anew when its time has come.
 *
 * Invariants: a timer and what comes of it change in one transaction, so a kill at any point repeats a piece whole:
 * nothing is lost and nothing written twice. It fires at or after its instant, never before. When to look is guessed from
 * the next timer that is known, and the table is looked at several times a second in any case: what other processes
 * write is seen, and a guess that is wrong costs a look. Any number of workers take different timers at once.
 */
import type { Pool } from '../db/pool.ts'
import { type Clock, nowSql } from '../log/clock.ts'
import type { InTransaction, Lane } from '../log/lane.ts'
import { Pace } from '../log/pace.ts'
import type { Report } from '../log/stage.ts'
import type { RecomputeStage } from '../recompute/stage.ts'
import type { Upcoming } from './upcoming.ts'

export interface TimerLaneOptions {
  readonly pool: Pool
  /** Of the lane's own where changes are handled at the same time. */
  readonly stage: Pick<RecomputeStage, 'fire' | 'committed' | 'timedEntities'>
  readonly upcoming: Upcoming
  readonly report: Report
  readonly clock?: Clock | undefined
}

/** Timers that other processes have written are seen within this. */
const LOOK_EVERY_MS = 250
/** Every timer that is due is in somebody's hand. */
const LOOK_AGAIN_MS = 25
/** A piece has the costs of a transaction however few it takes: smaller ones would only be late. */
const LEAST = 200

interface Look {
  readonly nowMs: number
  readonly entities: readonly { readonly entity: string; readonly dueMs: number }[]
}

const look = (clock: Clock | undefined) => `select n.entity,
    (extract(epoch from (select min(t.due_at) from rescore.timer t where t.entity = n.entity)) * 1000)::float8 as due,
    (extract(epoch from ${nowSql(clock)}) * 1000)::float8 as now
  from unnest($1::text[]) as n(entity)`

export class TimerLane implements Lane {
  readonly name = 'timer'
  readonly isUrgent = true
  readonly #options: TimerLaneOptions
  readonly #pace = new Pace(LEAST)
  /** When to look next, by performance.now(). */
  #lookAtMs = 0
  /** What to add to performance.now() for the time it is; not known before the first look. */
  #offsetMs = Number.NaN
  #last = ''

  constructor(options: TimerLaneOptions) {
    this.#options = options
  }

  dueInMs(): number {
    const { stage, upcoming } = this.#options
    if (stage.timedEntities.length === 0) return Number.POSITIVE_INFINITY
    const nowMs = performance.now()
    // Where the offset is not known, no look has been made, and one is due.
    const told = upcoming.soonestMs - this.#offsetMs
    return Math.max(0, Math.min(this.#lookAtMs, Number.isNaN(told) ? this.#lookAtMs : told) - nowMs)
  }

  onSooner(listener: () => void): void {
    this.#options.upcoming.onSooner(listener)
  }

  async step(inTransaction: InTransaction, isBusy: boolean): Promise<void> {
    // Before the look: what is written after it is told anew.
    this.#options.upcoming.take()
    const { nowMs, entities } = await this.#look()
    const due = entities.filter(({ dueMs }) => dueMs <= nowMs)
    const after = due.findIndex(({ entity }) => entity > this.#last)
    const inTurn = after < 0 ? due : [...due.slice(after), ...due.slice(0, after)]
    for (const { entity } of inTurn) {
      if (!(await this.#fire(entity, inTransaction, isBusy))) continue
      this.#last = entity
      this.#lookAtMs = 0
      return
    }
    const soonestMs = Math.min(...entities.map(({ dueMs }) => dueMs))
    const waitMs = due.length > 0 ? LOOK_AGAIN_MS : Math.min(LOOK_EVERY_MS, soonestMs - nowMs)
    this.#lookAtMs = performance.now() + waitMs
  }

  async #look(): Promise<Look> {
    const { pool, stage, clock } = this.#options
    const { rows } = await pool.query<{ entity: string; due: number | null; now: number }>(look(clock), [
      [...stage.timedEntities],
    ])
    const nowMs = rows[0]?.now ?? 0
    this.#offsetMs = nowMs - performance.now()
    const entities = rows.map(({ entity, due }) => ({ entity, dueMs: due ?? Number.POSITIVE_INFINITY }))
    return { nowMs: Math.floor(nowMs), entities }
  }

  /** Whether there was anything that nobody else has in hand. */
  async #fire(entity: string, inTransaction: InTransaction, isBusy: boolean): Promise<boolean> {
    const { stage, report } = this.#options
    const startedMs = performance.now()
    const fired = await inTransaction((context) => stage.fire(context, entity, this.#pace.size))
    if (fired === null) return false
    this.#pace.note(fired.timers, performance.now() - startedMs, isBusy)
    stage.committed?.(fired.work)
    const { timers, lateMs } = fired
    report({ type: 'fired', entity, timers, lateMs })
    return true
  }
}
