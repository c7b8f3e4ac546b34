/**
 * Timers whose time has come: their features computed as if a change had made them dirty.
 *
 * Invariant: in the caller's transaction every timer taken is replaced or gone, so none comes again for the same instant.
 */
import type { StageEvent } from '../log/stage.ts'
import type { Counters, Engine, EngineRun } from './engine.ts'
import { dropFired, takeDue } from './timers.ts'

/** What a transaction came to, told once it is committed. */
export interface Outcomes {
  events: StageEvent[]
  counters: Counters
}

export interface FiredTimers {
  readonly timers: number
  /** How long after its instant the oldest was taken, milliseconds. */
  readonly lateMs: number
}

export interface Fired extends FiredTimers {
  readonly work: Outcomes
}

/** @returns null where none is due that nobody else has in hand */
export async function fireTimers(engine: Engine, run: EngineRun, limit: number): Promise<FiredTimers | null> {
  const { program } = engine
  const { client, nowMs, isShared = false } = run.context
  const due = await takeDue(client, program, { nowMs, limit, isShared })
  if (due.rows.length === 0) return null
  await engine.recompute(await engine.begin(run, due.dirty))
  await dropFired(client, due)
  return { timers: due.rows.length, lateMs: nowMs - due.oldestMs }
}
