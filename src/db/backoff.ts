/**
 * Waiting that can be aborted, and repeats that back off with full jitter.
 * Invariant: no wait outlives its signal; randomness is injectable so that tests are repeatable.
 */

/** Rejects with the signal's reason when it aborts first. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  signal.addEventListener('abort', () => resolve(), { once: true })
  if (signal.aborted) resolve()
  return promise
}

export interface BackoffOptions {
  readonly baseMs?: number
  readonly maxMs?: number
  /** 0 (inclusive) to 1 (exclusive). */
  readonly random?: () => number
}

/** Doubles from `baseMs` to `maxMs`; each delay is drawn from the upper half so that repeats spread but never hammer. */
export class Backoff {
  readonly #baseMs: number
  readonly #maxMs: number
  readonly #random: () => number
  #attempts = 0

  constructor({ baseMs = 25, maxMs = 10_000, random = Math.random }: BackoffOptions = {}) {
    this.#baseMs = baseMs
    this.#maxMs = maxMs
    this.#random = random
  }

  get attempts(): number {
    return this.#attempts
  }

  nextDelayMs(): number {
    const ceiling = Math.min(this.#maxMs, this.#baseMs * 2 ** Math.min(this.#attempts, 30))
    this.#attempts += 1
    return ceiling * (0.5 + this.#random() / 2)
  }

  reset(): void {
    this.#attempts = 0
  }

  wait(signal?: AbortSignal): Promise<void> {
    return sleep(this.nextDelayMs(), signal)
  }
}

export interface RetryOptions extends BackoffOptions {
  readonly signal?: AbortSignal
  readonly attempts: number
  readonly isRetriable: (error: unknown) => boolean
}

/** Runs `operation` until it succeeds, is not retriable, or `attempts` are used up; then the last error is thrown. */
export async function retry<T>(operation: () => Promise<T>, options: RetryOptions): Promise<T> {
  const backoff = new Backoff(options)
  for (;;) {
    try {
      return await operation()
    } catch (error) {
      if (backoff.attempts + 1 >= options.attempts || !options.isRetriable(error)) throw error
      await backoff.wait(options.signal)
    }
  }
}
