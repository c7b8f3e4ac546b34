/**
 * The end of a running service: it has a bounded time to finish what is in hand.
 *
 * Invariants: from the first signal on the process is not ready; it ends well when every part has ended in time, whether
 * or not the start was done by then; a part that hangs is named. Ending in the middle of anything would be safe too.
 */
import { asError, RescoreError } from '../errors.ts'
import type { Health } from '../observe/health.ts'

/** Below the 30 s that Kubernetes and our compose file give before they kill. */
export const DRAIN_MS = 25_000

export interface DrainOptions {
  /** The wish to stop. */
  readonly signal: AbortSignal
  readonly health: Health
  /** Told of a failure that the end of the process makes unimportant. */
  readonly onLateFailure: (error: Error) => void
  /** Default 25,000. */
  readonly withinMs?: number
}

function late(health: Health, withinMs: number): RescoreError {
  const parts = health.unended.length === 0 ? 'its connections' : health.unended.join(', ')
  return new RescoreError({
    code: 'CLI_DRAIN_TIMEOUT',
    fate: 'stop',
    message: `Asked to stop, this did not end within ${withinMs / 1_000} s: ${parts}.`,
    mend: 'Nothing is lost: what was not committed is done again by the next start. If it repeats, look for a lock or a source that does not answer.',
  })
}

/** Runs `work`, which ends when the signal aborts. @throws what it throws before that, CLI_DRAIN_TIMEOUT after */
export async function drained(work: () => Promise<void>, options: DrainOptions): Promise<void> {
  const { signal, health, onLateFailure, withinMs = DRAIN_MS } = options
  const limit = Promise.withResolvers<never>()
  let timer: NodeJS.Timeout | undefined
  const onAbort = () => {
    health.drain()
    timer = setTimeout(() => limit.reject(late(health, withinMs)), withinMs)
  }
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  const ended = work().catch((error: unknown) => {
    if (!signal.aborted) throw error
    // Told to end, the start says so with the reason it was given.
    if (error !== signal.reason) onLateFailure(asError(error))
  })
  try {
    await Promise.race([ended, limit.promise])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}
