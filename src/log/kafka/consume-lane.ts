/**
 * Gives a lane its turns in one process of a stage that several processes share: every one of them works at it.
 *
 * Invariants: a turn is taken while nothing waits in this process's partitions. Where something always does, the lane rests
 * after each turn at least as long as the turn took, and twice as long as before whenever changes are late; keys are held
 * (hold.ts), so that changes of the same entities, here or elsewhere, follow one another.
 */
import { Backoff, sleep } from '../../db/backoff.ts'
import { isWorthRepeating, type Pool } from '../../db/pool.ts'
import { asError, isRescoreError } from '../../errors.ts'
import type { Faults } from '../../faults.ts'
import type { Lane } from '../lane.ts'
import type { Report } from '../stage.ts'
import { inVisibleSnapshot } from '../visibility.ts'

export interface LaneOptions {
  readonly pool: Pool
  readonly lane: Lane
  readonly stage: { readonly name: string; readonly settings?: string | undefined }
  /** Of the records read and not handled, here, the oldest: milliseconds since its commit; null: none waits. */
  readonly waitingMs: () => number | null
  readonly report: Report
  readonly faults?: Faults | undefined
}

const LOOK_AGAIN_MS = 5
/** Under load that never ends a turn comes this often, however late changes are. */
const LONGEST_REST_MS = 250
/** Changes that have waited longer are late: about three times what half of them wait with nothing beside them. */
const LATE_MS = 50

/** @param turnMs how long the turn took; @param waitingMs since the commit of the oldest change that waits */
export function restAfter(restMs: number, turnMs: number, waitingMs: number | null): number {
  const wanted = (waitingMs ?? 0) > LATE_MS ? Math.max(restMs, 1) * 2 : restMs / 2
  return Math.min(LONGEST_REST_MS, Math.max(wanted, turnMs))
}

/** Runs until the signal aborts. @throws errors of fate `stop` */
export async function runLane(options: LaneOptions, signal: AbortSignal): Promise<void> {
  const { pool, lane, stage, waitingMs, report, faults } = options
  const backoff = new Backoff({ baseMs: 10, maxMs: 5_000 })
  let lastTurnMs = performance.now()
  let restMs = LONGEST_REST_MS
  while (!signal.aborted) {
    try {
      const isBusy = waitingMs() !== null && performance.now() - lastTurnMs < restMs
      const waitMs = Math.max(lane.dueInMs(), isBusy ? LOOK_AGAIN_MS : 0)
      if (waitMs > 0) {
        // Rejects only when the signal aborts, which the loop's condition sees.
        await sleep(waitMs, signal).catch(() => undefined)
        continue
      }
      const startedMs = performance.now()
      await lane.step(async (work) => {
        const settings = { pool, signal, isShared: true, settings: stage.settings }
        const result = await inVisibleSnapshot(settings, [], async (context) => {
          const done = await work(context)
          await faults?.hit(`${stage.name}:turn-before-commit`)
          return done
        })
        await faults?.hit(`${stage.name}:turn-after-commit`)
        return result
      })
      lastTurnMs = performance.now()
      restMs = restAfter(restMs, lastTurnMs - startedMs, waitingMs())
      backoff.reset()
    } catch (error) {
      if (signal.aborted) return
      const code = isRescoreError(error) ? error.code : 'DB_LANE'
      report({ type: 'failed', stage: stage.name, code, message: asError(error).message })
      if (!isWorthRepeating(error)) throw error
      await backoff.wait(signal).catch(() => undefined)
    }
  }
}
