/**
 * Gives the lanes their turns in one process of a stage that several processes share: every one of them works at it.
 *
 * Invariants: a turn is taken while nothing waits in this process's partitions. Where something always does, the lane rests
 * after each turn at least as long as the turn took, and twice as long as before whenever changes are late; keys are held
 * (hold.ts), so that changes of the same entities, here or elsewhere, follow one another.
 */
import { Backoff, sleep } from '../../db/backoff.ts'
import { isWorthRepeating, type Pool } from '../../db/pool.ts'
import { asError, isRescoreError } from '../../errors.ts'
import type { Faults } from '../../faults.ts'
import type { Clock } from '../clock.ts'
import type { Report } from '../stage.ts'
import type { Turns } from '../turns.ts'
import { inVisibleSnapshot } from '../visibility.ts'

export interface LaneOptions {
  readonly pool: Pool
  readonly turns: Turns
  readonly stage: {
    readonly name: string
    readonly settings?: string | undefined
    readonly isTimed?: boolean | undefined
  }
  /** Of the records read and not handled, here, the oldest: milliseconds since its commit; null: none waits. */
  readonly waitingMs: () => number | null
  readonly report: Report
  readonly faults?: Faults | undefined
  readonly clock?: Clock | undefined
}

const LOOK_AGAIN_MS = 5
const LONGEST_NAP_MS = 1_000
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
export async function runLanes(options: LaneOptions, signal: AbortSignal): Promise<void> {
  const { pool, turns, stage, waitingMs, report, faults, clock } = options
  const backoff = new Backoff({ baseMs: 10, maxMs: 5_000 })
  let lastTurnMs = performance.now()
  let restMs = LONGEST_REST_MS
  let wake = () => {}
  turns.onSooner(() => wake())
  signal.addEventListener('abort', () => wake(), { once: true })
  while (!signal.aborted) {
    try {
      const isBusy = waitingMs() !== null && performance.now() - lastTurnMs < restMs
      const waitMs = isBusy ? Math.max(turns.dueInMs(), LOOK_AGAIN_MS) : turns.dueInMs()
      if (waitMs > 0) {
        const nap = new AbortController()
        wake = () => nap.abort(new Error('It may be time.'))
        // Rejects only when it is woken.
        await sleep(Math.min(waitMs, LONGEST_NAP_MS), nap.signal).catch(() => undefined)
        continue
      }
      const startedMs = performance.now()
      await turns.step(
        async (work) => {
          const settings = { pool, signal, isShared: true, settings: stage.settings, isTimed: stage.isTimed, clock }
          const result = await inVisibleSnapshot(settings, [], async (context) => {
            const done = await work(context)
            await faults?.hit(`${stage.name}:turn-before-commit`)
            return done
          })
          await faults?.hit(`${stage.name}:turn-after-commit`)
          return result
        },
        { isBusy: waitingMs() !== null },
      )
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
