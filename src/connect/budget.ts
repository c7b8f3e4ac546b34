/**
 * The shared allowance of calls to one source: a token bucket with a ceiling on calls in flight and priorities.
 *
 * Invariants: never more than `calls` starts in any `perMs` as this process counts; the most urgent waiter goes first,
 * equals in order of arrival; a waiter whose signal aborts leaves the queue; what the source says in its rate headers
 * only ever tightens the budget. State is in memory: a restart starts with a full bucket, and a 429 mends the rest.
 */
import type { Budget, CallResult, Priority } from '../define/index.ts'

const RANK: Readonly<Record<Priority, number>> = { 'on-demand': 0, incremental: 1, initial: 2, sweep: 3 }

interface Waiter {
  readonly rank: number
  readonly start: () => void
}

export interface BudgetClock {
  now(): number
  /** Calls `wake` after `ms`; the answer cancels it. */
  schedule(wake: () => void, ms: number): () => void
}

export const systemBudgetClock: BudgetClock = {
  now: Date.now,
  schedule: (wake, ms) => {
    const timer = setTimeout(wake, ms)
    return () => clearTimeout(timer)
  },
}

export class CallBudget {
  readonly #budget: Budget
  readonly #clock: BudgetClock
  readonly #waiters: Waiter[] = []
  readonly #started: number[] = []
  #inFlight = 0
  #closedUntilMs = 0
  #limit: number
  #startedInAll = 0
  #cancelWake: (() => void) | undefined

  constructor(budget: Budget, clock: BudgetClock = systemBudgetClock) {
    this.#budget = budget
    this.#clock = clock
    this.#limit = budget.calls
  }

  /** Waits for a turn; the caller must call the answer exactly once when the call has ended. */
  acquire(priority: Priority, signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      const onAbort = () => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        reject(signal.reason)
      }
      const waiter: Waiter = {
        rank: RANK[priority],
        start: () => {
          signal.removeEventListener('abort', onAbort)
          this.#inFlight += 1
          this.#started.push(this.#clock.now())
          this.#startedInAll += 1
          resolve(() => {
            this.#inFlight -= 1
            this.#pump()
          })
        },
      }
      const after = this.#waiters.findIndex((other) => other.rank > waiter.rank)
      this.#waiters.splice(after === -1 ? this.#waiters.length : after, 0, waiter)
      signal.addEventListener('abort', onAbort, { once: true })
      this.#pump()
    })
  }

  /** Calls since the start of the process. */
  get started(): number {
    return this.#startedInAll
  }

  /** Calls that may start now. */
  left(): number {
    if (this.#closedUntilMs > this.#clock.now()) return 0
    this.#forget()
    return Math.max(0, Math.min(this.#limit - this.#started.length, this.#budget.concurrency - this.#inFlight))
  }

  /** What the source said about its own count, which also sees the calls of others. */
  adapt(rate: NonNullable<CallResult<unknown>['rate']>): void {
    const interval = rate.intervalMs ?? this.#budget.perMs
    // A tenth is left for other users of the same credential.
    if (rate.limit !== undefined && interval > 0) {
      const fair = Math.floor((rate.limit * 0.9 * this.#budget.perMs) / interval)
      this.#limit = Math.max(1, Math.min(this.#budget.calls, fair))
    }
    if (rate.remaining !== undefined && rate.remaining <= 0) this.closeUntil(this.#clock.now() + interval)
  }

  /** Nobody starts before `atMs`: the source has refused a call. */
  closeUntil(atMs: number): void {
    this.#closedUntilMs = Math.max(this.#closedUntilMs, atMs)
  }

  /** Starts that no longer count. */
  #forget(): void {
    const since = this.#clock.now() - this.#budget.perMs
    while ((this.#started[0] ?? Number.POSITIVE_INFINITY) <= since) this.#started.shift()
  }

  #waitMs(): number {
    this.#forget()
    const now = this.#clock.now()
    const oldest = this.#started.at(-this.#limit)
    const bucket = oldest === undefined ? 0 : oldest + this.#budget.perMs - now
    return Math.max(0, bucket, this.#closedUntilMs - now)
  }

  #pump(): void {
    this.#cancelWake?.()
    this.#cancelWake = undefined
    while (this.#waiters.length > 0 && this.#inFlight < this.#budget.concurrency) {
      const waitMs = this.#waitMs()
      if (waitMs > 0) {
        this.#cancelWake = this.#clock.schedule(() => this.#pump(), waitMs)
        return
      }
      this.#waiters.shift()?.start()
    }
  }
}

/** Budgets by credential and key, so that connectors that share a credential share its allowance. */
export class BudgetBook {
  readonly #budgets = new Map<string, CallBudget>()
  readonly #clock: BudgetClock

  constructor(clock: BudgetClock = systemBudgetClock) {
    this.#clock = clock
  }

  of(credential: string, budget: Budget): CallBudget {
    const name = `${credential}\n${budget.key}`
    const known = this.#budgets.get(name)
    if (known !== undefined) return known
    const made = new CallBudget(budget, this.#clock)
    this.#budgets.set(name, made)
    return made
  }
}
