/**
 * Those who wait for the next change of something in this process.
 * Invariants: a wait ends by the change, its time-out or its signal, and then nothing of it is left behind: an idle
 * service waits for weeks.
 */
export class Waiters {
  readonly #waiting = new Set<() => void>()

  /** How many wait now. */
  get size(): number {
    return this.#waiting.size
  }

  announce(): void {
    const woken = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of woken) wake()
  }

  /** Resolves at the next announcement or after `withinMs`; rejects with the signal's reason when it aborts. */
  next(signal: AbortSignal, withinMs?: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      const finish = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        this.#waiting.delete(done)
      }
      const done = () => {
        finish()
        resolve()
      }
      const onAbort = () => {
        finish()
        reject(signal.reason)
      }
      const timer = withinMs === undefined ? undefined : setTimeout(done, withinMs)
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiting.add(done)
    })
  }
}
