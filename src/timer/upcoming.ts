/**
 * What the stage objects of a process tell its timer lane: a timer they have written.
 * Invariant: a hint of when to look, never what is due; the table alone says that.
 */
export class Upcoming {
  /** Milliseconds since 1970, of the clock that features read. */
  #soonestMs = Number.POSITIVE_INFINITY
  #listeners: (() => void)[] = []

  readonly note = (dueMs: number): void => {
    if (dueMs >= this.#soonestMs) return
    this.#soonestMs = dueMs
    for (const listener of this.#listeners) listener()
  }

  /** The soonest since it was last taken. */
  take(): number {
    const soonestMs = this.#soonestMs
    this.#soonestMs = Number.POSITIVE_INFINITY
    return soonestMs
  }

  get soonestMs(): number {
    return this.#soonestMs
  }

  onSooner(listener: () => void): void {
    this.#listeners.push(listener)
  }
}
