/**
 * Catches up on stale rows of a stage that several processes share: one of them sweeps, whichever holds the lease.
 *
 * Invariants: a sweep counts for what was wanted when its pass began, so rows made stale meanwhile, by any process, want
 * another pass; a pass that was cut short is not counted, nor is one that begins where an earlier term left off: what was
 * behind it may have been made stale since. Until then the whole of the stage vouches for nothing new. Two that sweep at
 * once by a failed lease waste work and harm nothing: keys are held (hold.ts).
 */
import { Backoff, sleep } from '../../db/backoff.ts'
import { isWorthRepeating, type Pool } from '../../db/pool.ts'
import { asError, isRescoreError } from '../../errors.ts'
import type { Faults } from '../../faults.ts'
import type { Clock } from '../clock.ts'
import type { Report, Stage } from '../stage.ts'
import { inVisibleSnapshot } from '../visibility.ts'

export interface SweepOptions<Work> {
  readonly pool: Pool
  /** Of its own: a sweep keeps its place in it. */
  readonly stage: Stage<Work>
  readonly report: Report
  readonly faults?: Faults | undefined
  readonly clock?: Clock | undefined
  /** A sweep is through. */
  readonly onSwept: () => void
}

const LOOK_EVERY_MS = 500

/** What is wanted, where it is not done yet. */
async function readWanted(pool: Pool, stage: string): Promise<number | null> {
  const { rows } = await pool.query<{ wanted: number }>(
    'select sweeps_wanted as wanted from rescore.shared_stage where stage = $1 and sweeps_done < sweeps_wanted',
    [stage],
  )
  return rows[0]?.wanted ?? null
}

/** What runs the sweeps for one term, until its signal aborts; terms of a process follow one another. */
export function sweepsOf<Work>(options: SweepOptions<Work>): (signal: AbortSignal) => Promise<void> {
  const place = { isMidway: false }
  return (signal) => runSweeps(options, place, signal)
}

/** @throws errors of fate `stop` */
async function runSweeps<Work>(
  options: SweepOptions<Work>,
  place: { isMidway: boolean },
  signal: AbortSignal,
): Promise<void> {
  const { pool, stage, report, faults, clock } = options
  let isWhole = !place.isMidway
  const backoff = new Backoff({ baseMs: 10, maxMs: 5_000 })
  // Read before the pass began; kept over failures, because the stage goes on in the same pass.
  let wanted: number | null = null
  while (!signal.aborted) {
    try {
      wanted ??= await readWanted(pool, stage.name)
      if (wanted === null) {
        // Rejects only when the signal aborts, which the loop's condition sees.
        await sleep(LOOK_EVERY_MS, signal).catch(() => undefined)
        continue
      }
      const startedMs = performance.now()
      place.isMidway = true
      const isMoreLeft = await inVisibleSnapshot(
        { pool, signal, isShared: true, settings: stage.settings, isTimed: stage.isTimed, clock },
        [],
        async (context) => {
          const left = await stage.sweep(context)
          await faults?.hit(`${stage.name}:sweep-before-commit`)
          return left
        },
      )
      await faults?.hit(`${stage.name}:sweep-after-commit`)
      if (!isMoreLeft) {
        place.isMidway = false
        if (isWhole) {
          await pool.query('update rescore.shared_stage set sweeps_done = greatest(sweeps_done, $2) where stage = $1', [
            stage.name,
            wanted,
          ])
          options.onSwept()
        }
        isWhole = true
        wanted = null
      }
      report({ type: 'sweep', stage: stage.name, isMoreLeft, ms: performance.now() - startedMs })
      backoff.reset()
    } catch (error) {
      if (signal.aborted) return
      const code = isRescoreError(error) ? error.code : 'DB_SWEEP'
      report({ type: 'failed', stage: stage.name, code, message: asError(error).message })
      if (!isWorthRepeating(error)) throw error
      await backoff.wait(signal).catch(() => undefined)
    }
  }
}
