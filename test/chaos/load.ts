/**
 * Load that never rests: random transactions on several connections, from a seed, until it is stopped.
 * Invariant: a transaction whose connection is lost counts as done or not done, whichever it was; any other failure is
 * thrown by `stop`.
 */
import { sleep } from '../../src/db/backoff.ts'
import { isRetriableDbError } from '../../src/db/pool.ts'
import { actionsFrom } from './arbitraries.ts'
import { perform } from './perform.ts'
import type { Place } from './running.ts'

export interface Load {
  /** Resolves when nothing is under way any more. */
  stop(): Promise<void>
}

const WORKERS = 2
const HISTORY = 500
/** Leaves the service some of a small machine. */
const PAUSE_MS = 4

async function work(place: Place, seed: number, stopping: AbortSignal): Promise<void> {
  const history = actionsFrom(seed, HISTORY)
  for (let at = 0; !stopping.aborted; at += 1) {
    const action = history[at % HISTORY]
    if (action === undefined) return
    try {
      await perform(place.pool, action, async () => undefined)
      await sleep(PAUSE_MS)
    } catch (error) {
      if (!isRetriableDbError(error)) throw error
      await sleep(50)
    }
  }
}

export function startLoad(place: Place, seed: number): Load {
  const stopping = new AbortController()
  const workers = Array.from({ length: WORKERS }, (_, worker) => work(place, seed * WORKERS + worker, stopping.signal))
  const all = Promise.allSettled(workers)
  return {
    stop: async () => {
      stopping.abort()
      for (const result of await all) if (result.status === 'rejected') throw result.reason
    },
  }
}
