/**
 * The simulator's time. Everything the portal stamps and every limit it counts reads this clock, so a test that freezes
 * it decides what is before and after what.
 */
export class SimulatorClock {
  #offsetMs = 0
  #frozenMs: number | undefined

  /** Runs with the machine's clock until it is set or advanced; then it runs on from there. */
  static running(): SimulatorClock {
    return new SimulatorClock()
  }

  /** Stands still at `ms` (since 1970) until it is set or advanced. */
  static frozenAt(ms: number): SimulatorClock {
    const clock = new SimulatorClock()
    clock.#frozenMs = ms
    return clock
  }

  get frozen(): boolean {
    return this.#frozenMs !== undefined
  }

  /** Whole milliseconds since 1970. */
  now(): number {
    return this.#frozenMs ?? Date.now() + this.#offsetMs
  }

  set(ms: number): void {
    if (this.#frozenMs !== undefined) this.#frozenMs = Math.round(ms)
    else this.#offsetMs = Math.round(ms) - Date.now()
  }

  advance(ms: number): void {
    this.set(this.now() + ms)
  }
}
