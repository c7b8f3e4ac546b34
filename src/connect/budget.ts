/**
 * The shared allowance of calls to one source: a token bucket with a ceiling on calls in flight and priorities.
 *
 * Invariants: never more than `calls` starts in any `perMs` as this process counts; the most urgent waiter goes first,
 * equals in order of arrival; a waiter whose signal aborts leaves the queue; what the source says in its rate headers
 * only ever tightens the budget; what is reserved is left to the two most urgent priorities. State is in memory: a restart starts with a full bucket, and a 429 mends the rest.
 */
import type { Budget, CallResult, Priority } from '../define/index.ts'

const RANK: Readonly<Record<Priority, number>> = {
  'write-back': 0,
  'on-demand': 1,
  incremental: 2,
  initial: 3,
  backfill: 4,
  sweep: 5,
}
/** From this rank on nobody may touch what is reserved. */
const FIRST_ORDINARY = RANK.incremental

interface Waiter {
  readonly rank: number
  readonly start: () => void
}

export interface BudgetUsage {
  readonly key: string
  readonly calls: number
  readonly perMs: number
  readonly used: number
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

  /** The source did not count a call that has just ended. */
  giveBack(): void {
    this.#started.pop()
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

  /** What this process has spent of the current window. */
  usage(): BudgetUsage {
    this.#forget()
    const { key, perMs } = this.#budget
    return { key, calls: this.#limit, perMs, used: this.#started.length }
  }

  #forget(): void {
    const before = this.#clock.now() - this.#budget.perMs
    let gone = 0
    while ((this.#started[gone] ?? Number.POSITIVE_INFINITY) <= before) gone += 1
    if (gone > 0) this.#started.splice(0, gone)
  }

  #waitMs(rank: number): number {
    const now = this.#clock.now()
    this.#forget()
    const reserved = rank < FIRST_ORDINARY ? 0 : (this.#budget.reserved ?? 0)
    const oldest = this.#started.at(-Math.max(1, this.#limit - reserved))
    const bucket = oldest === undefined ? 0 : oldest + this.#budget.perMs - now
    return Math.max(0, bucket, this.#closedUntilMs - now)
  }

  #pump(): void {
    this.#cancelWake?.()
    this.#cancelWake = undefined
    while (this.#inFlight < this.#budget.concurrency) {
      const [first] = this.#waiters
      if (first === undefined) return
      const waitMs = this.#waitMs(first.rank)
      if (waitMs > 0) {
        this.#cancelWake = this.#clock.schedule(() => this.#pump(), waitMs)
        return
      }
      this.#waiters.shift()
      first.start()
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

  /** What has been spent with a credential, per budget that was ever drawn from. */
  usage(credential: string): readonly BudgetUsage[] {
    return [...this.#budgets].filter(([name]) => name.startsWith(`${credential}\n`)).map(([, budget]) => budget.usage())
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
