/**
 * Load that never rests: random transactions on several connections, from a seed, until it is stopped.
 * Invariant: a transaction whose connection is lost counts as done or not done, whichever it was; any other failure is
 * thrown by `stop`.
 */
import { sleep } from '../../src/db/backoff.ts'
import { isRetriableDbError } from '../../src/db/pool.ts'
import type { Action, Step } from './actions.ts'
import { actionsFrom } from './arbitraries.ts'
import { perform } from './perform.ts'
import type { Place } from './running.ts'

export interface Load {
  /** Resolves when nothing is under way any more. */
  stop(): Promise<void>
}

const WORKERS = 2
const HISTORY = 500
export interface LoadOptions {
  /** Between two actions of a worker. The default leaves the service some of a small machine, and not enough to keep up. */
  readonly pauseMs: number
  /** Left out: tables truncated and thousands of rows at once, which make every entity stale, for a sweep. */
  readonly isTame: boolean
}

/** What a small machine keeps up with beside other work. */
export const STEADY: LoadOptions = { pauseMs: 25, isTame: true }
/** Truncations among it take entities over from a backfill: a sweep owes them then. */
export const WILD: LoadOptions = { pauseMs: 4, isTame: false }

function isTame(action: Action): boolean {
  if (action.kind === 'calm') return true
  const isHeavy = (step: Step): boolean =>
    step.op === 'truncate' || step.op === 'bulk' || (step.op === 'undone' && step.steps.some(isHeavy))
  return action.transactions.every(({ steps }) => !steps.some(isHeavy))
}

async function work(place: Place, seed: number, options: LoadOptions, stopping: AbortSignal): Promise<void> {
  const history = actionsFrom(seed, HISTORY).filter((action) => !options.isTame || isTame(action))
  for (let at = 0; !stopping.aborted; at += 1) {
    const action = history[at % history.length]
    if (action === undefined) return
    try {
      await perform(place.pool, action, async () => undefined)
      await sleep(options.pauseMs)
    } catch (error) {
      if (!isRetriableDbError(error)) throw error
      await sleep(50)
    }
  }
}

export function startLoad(place: Place, seed: number, options: LoadOptions = WILD): Load {
  const stopping = new AbortController()
  const workers = Array.from({ length: WORKERS }, (_, worker) =>
    work(place, seed * WORKERS + worker, options, stopping.signal),
  )
  const all = Promise.allSettled(workers)
  return {
    stop: async () => {
      stopping.abort()
      for (const result of await all) if (result.status === 'rejected') throw result.reason
    },
  }
}
