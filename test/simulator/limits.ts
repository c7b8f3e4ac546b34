/**
 * HubSpot's rate limits, counted on the portal's clock.
 * Invariant: a refused call does not count. Searches have a limit of their own and their answers carry no rate headers;
 * batch calls for associations are exempt. The journal has a limit of its own and does not count towards the day.
 */
import type { SimulatorClock } from './clock.ts'

export interface RateLimits {
  /** Calls in any ten seconds. */
  readonly burst: number
  /** Searches in any second. */
  readonly search: number
  /** Calls until midnight UTC. */
  readonly daily: number
  /** Calls to the journal in any minute. */
  readonly journal: number
}

/** Which of them counts a call. */
export type LimitKind = 'burst' | 'search' | 'journal' | 'none'

/** A private app of a professional account. */
export const DEFAULT_LIMITS: RateLimits = { burst: 190, search: 5, daily: 650_000, journal: 100 }

export type Policy = 'SECONDLY' | 'TEN_SECONDLY_ROLLING' | 'DAILY'

export const POLICY_MESSAGE: Readonly<Record<Policy, string>> = {
  SECONDLY: 'You have reached your secondly limit.',
  TEN_SECONDLY_ROLLING: 'You have reached your ten_secondly_rolling limit.',
  DAILY: 'You have reached your daily limit.',
}

const DAY_MS = 86_400_000
const BURST_MS = 10_000
const SEARCH_MS = 1_000
const JOURNAL_MS = 60_000

export class RateLimiter {
  readonly #limits: RateLimits | false
  readonly #clock: SimulatorClock
  #burst: number[] = []
  #searches: number[] = []
  #journal: number[] = []
  #day = 0
  #today = 0

  constructor(limits: RateLimits | false, clock: SimulatorClock) {
    this.#limits = limits
    this.#clock = clock
  }

  /** The policy that refuses this call, or nothing: then it is counted. */
  take(kind: LimitKind): Policy | undefined {
    if (this.#limits === false || kind === 'none') return undefined
    const now = this.#clock.now()
    if (kind === 'journal') {
      this.#journal = this.#journal.filter((at) => at > now - JOURNAL_MS)
      if (this.#journal.length >= this.#limits.journal) return 'SECONDLY'
      this.#journal.push(now)
      return undefined
    }
    const day = Math.floor(now / DAY_MS)
    if (day !== this.#day) this.#startDay(day)
    if (this.#today >= this.#limits.daily) return 'DAILY'
    if (kind === 'search') {
      this.#searches = this.#searches.filter((at) => at > now - SEARCH_MS)
      if (this.#searches.length >= this.#limits.search) return 'SECONDLY'
      this.#searches.push(now)
    } else {
      this.#burst = this.#burst.filter((at) => at > now - BURST_MS)
      if (this.#burst.length >= this.#limits.burst) return 'TEN_SECONDLY_ROLLING'
      this.#burst.push(now)
    }
    this.#today += 1
    return undefined
  }

  #startDay(day: number): void {
    this.#day = day
    this.#today = 0
  }

  headers(kind: LimitKind): Readonly<Record<string, string>> {
    if (this.#limits === false || kind !== 'burst') return {}
    return {
      'x-hubspot-ratelimit-max': String(this.#limits.burst),
      'x-hubspot-ratelimit-remaining': String(Math.max(0, this.#limits.burst - this.#burst.length)),
      'x-hubspot-ratelimit-interval-milliseconds': String(BURST_MS),
      'x-hubspot-ratelimit-daily': String(this.#limits.daily),
      'x-hubspot-ratelimit-daily-remaining': String(Math.max(0, this.#limits.daily - this.#today)),
    }
  }
}
