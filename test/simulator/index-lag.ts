/** How long the search index takes to see a write, drawn from the seed for each write. */
import type { CrmRecord } from './record.ts'
import { hash32 } from './rng.ts'

/** Milliseconds. With a mean: exponential from `min`, cut at `max`; without: any between the two. */
export interface IndexLag {
  readonly min: number
  readonly max: number
  readonly mean?: number
}

/** Mostly a few seconds, at most a minute. */
export const DEFAULT_INDEX_LAG: IndexLag = { min: 1_000, max: 60_000, mean: 5_000 }

export function lagMs(lag: IndexLag | 0, seed: number, record: CrmRecord): number {
  if (lag === 0) return 0
  const { min, max, mean } = lag
  const uniform = hash32(seed, record.type, record.id, record.writes) / 2 ** 32
  const spread = mean === undefined ? uniform * (max - min) : -(mean - min) * Math.log(1 - uniform)
  return Math.round(Math.min(max, min + spread))
}
