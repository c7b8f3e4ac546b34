/**
 * Gives the lanes their turns in one process of a stage that several processes share: every one of them works at it.
 *
 * Invariants: a turn is taken while nothing waits in this process's partitions, and every so often when something always
 * does; keys are held (hold.ts), so that changes of the same entities, here or elsewhere, follow one another.
 */
import { Backoff, sleep } from '../../db/backoff.ts'
import { isRetriableDbError, type Pool } from '../../db/pool.ts'
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
  /** Records read and not handled, here. */
  readonly backlog: () => number
  readonly report: Report
  readonly faults?: Faults | undefined
  readonly clock?: Clock | undefined
}

const LOOK_AGAIN_MS = 5
const LONGEST_NAP_MS = 1_000
/** Under load that never ends a turn comes this often. */
const WITHOUT_TURN_MS = 250

/** Runs until the signal aborts. @throws errors of fate `stop` */
export async function runLanes(options: LaneOptions, signal: AbortSignal): Promise<void> {
  const { pool, turns, stage, backlog, report, faults, clock } = options
  const backoff = new Backoff({ baseMs: 10, maxMs: 5_000 })
  let lastTurnMs = performance.now()
  let wake = () => {}
  turns.onSooner(() => wake())
  signal.addEventListener('abort', () => wake(), { once: true })
  while (!signal.aborted) {
    try {
      const isBusy = backlog() > 0 && performance.now() - lastTurnMs < WITHOUT_TURN_MS
      const waitMs = isBusy ? Math.max(turns.dueInMs(), LOOK_AGAIN_MS) : turns.dueInMs()
      if (waitMs > 0) {
        const nap = new AbortController()
        wake = () => nap.abort(new Error('It may be time.'))
        // Rejects only when it is woken.
        await sleep(Math.min(waitMs, LONGEST_NAP_MS), nap.signal).catch(() => undefined)
        continue
      }
      lastTurnMs = performance.now()
      await turns.step(async (work) => {
        const settings = { pool, signal, isShared: true, settings: stage.settings, isTimed: stage.isTimed, clock }
        const result = await inVisibleSnapshot(settings, [], async (context) => {
          const done = await work(context)
          await faults?.hit(`${stage.name}:turn-before-commit`)
          return done
        })
        await faults?.hit(`${stage.name}:turn-after-commit`)
        return result
      })
      backoff.reset()
    } catch (error) {
      if (signal.aborted) return
      const isRetriable = isRescoreError(error) ? error.fate === 'retry' : isRetriableDbError(error)
      const code = isRescoreError(error) ? error.code : 'DB_LANE'
      report({ type: 'failed', stage: stage.name, code, message: asError(error).message })
      if (!isRetriable) throw error
      await backoff.wait(signal).catch(() => undefined)
    }
  }
}
