/**
 * One call to a source: budget, timeout, abort, repeats.
 *
 * Invariants: every attempt draws from the budget; every attempt ends at its timeout even if the transport hangs on;
 * what is worth repeating is decided by the SourceError's kind alone (an unknown error is taken as transient); auth and
 * config errors are thrown at once. Nothing is stored, so a crash merely repeats the read.
 */
import { sleep } from '../db/backoff.ts'
import { type CallOptions, type CallResult, type Priority, SourceError } from '../define/index.ts'
import type { CallBudget } from './budget.ts'

const DEFAULT_TIMEOUT_MS = 30_000
const BASE_MS = 500
const MAX_DELAY_MS = 60_000
const MAX_ATTEMPTS = 8

export interface CallEnvironment {
  readonly budgetOf: (key: string) => CallBudget
  readonly priority: Priority
  readonly signal: AbortSignal
  readonly now: () => number
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>
  /** 0 (inclusive) to 1 (exclusive). */
  readonly random?: () => number
  /** Attempts a call gets; default 8. */
  readonly attempts?: number
  /** Instead of what the call asks for; a test that waits for a timeout does not want to wait long. */
  readonly timeoutMs?: number
  readonly onRetry?: (error: SourceError, attempt: number, delayMs: number) => void
}

/** Shape check: a user's connector may hold a second copy of the module. */
function isSourceError(error: unknown): error is SourceError {
  return error instanceof Error && error.name === 'SourceError' && 'kind' in error
}

function classify(error: unknown): SourceError {
  if (isSourceError(error)) return error
  return new SourceError({
    kind: 'transient',
    code: 'CONNECT_CALL_FAILED',
    message: error instanceof Error ? error.message : String(error),
    mend: 'It is repeated by itself. If it lasts, check the network path to the source.',
    cause: error,
  })
}

/** Settles when the attempt does, or rejects when time is up or the run is aborted, whichever is first. */
async function withDeadline<T>(
  attempt: (signal: AbortSignal) => Promise<T>,
  timeoutMs: number,
  outer: AbortSignal,
): Promise<T> {
  const deadline = new AbortController()
  const timer = setTimeout(() => {
    deadline.abort(
      new SourceError({
        kind: 'transient',
        code: 'CONNECT_TIMEOUT',
        message: `The source did not answer within ${timeoutMs} ms.`,
        mend: 'It is repeated by itself. If it lasts, check the network path to the source.',
      }),
    )
  }, timeoutMs)
  const signal = AbortSignal.any([outer, deadline.signal])
  let onAbort: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([attempt(signal), aborted])
  } finally {
    clearTimeout(timer)
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
  }
}

function delayMs(error: SourceError, attempt: number, environment: CallEnvironment): number {
  const jitter = (environment.random ?? Math.random)() * Math.min(MAX_DELAY_MS, BASE_MS * 2 ** attempt)
  if (error.retryAtMs === undefined) return Math.max(50, jitter)
  return Math.max(0, error.retryAtMs - environment.now()) + jitter / 10
}

/** Turns of all budgets the call draws from, in their order; gives back what it has when it cannot have all. */
async function acquireAll(
  budgets: readonly CallBudget[],
  priority: Priority,
  signal: AbortSignal,
): Promise<() => void> {
  const releases: (() => void)[] = []
  const release = () => {
    for (const one of releases) one()
  }
  try {
    for (const budget of budgets) releases.push(await budget.acquire(priority, signal))
    return release
  } catch (error) {
    release()
    throw error
  }
}

/** @throws SourceError of kind auth or config at once, of another kind after the last attempt */
export async function callSource<T>(
  environment: CallEnvironment,
  options: CallOptions,
  attempt: (signal: AbortSignal) => Promise<CallResult<T>>,
): Promise<T> {
  const keys = typeof options.budget === 'string' ? [options.budget] : options.budget
  const budgets = keys.map((key) => environment.budgetOf(key))
  const { signal, attempts: most = MAX_ATTEMPTS } = environment
  const timeoutMs = environment.timeoutMs ?? options.timeoutMs ?? DEFAULT_TIMEOUT_MS
  for (let attempts = 0; ; attempts += 1) {
    const release = await acquireAll(budgets, environment.priority, signal)
    let failure: SourceError
    try {
      const result = await withDeadline(attempt, timeoutMs, signal)
      // Rate headers speak of the shortest window.
      if (result.rate !== undefined) budgets.at(-1)?.adapt(result.rate)
      budgets.find((_, at) => keys[at] === result.free)?.giveBack()
      return result.value
    } catch (thrown) {
      signal.throwIfAborted()
      failure = classify(thrown)
    } finally {
      release()
    }
    if (failure.kind === 'auth' || failure.kind === 'config' || attempts + 1 >= most) throw failure
    const waitMs = delayMs(failure, attempts, environment)
    if (failure.kind === 'rate-limited') for (const budget of budgets) budget.closeUntil(environment.now() + waitMs)
    environment.onRetry?.(failure, attempts + 1, waitMs)
    await (environment.sleep ?? sleep)(waitMs, signal)
  }
}
