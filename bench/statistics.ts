/** Figures of samples. Invariant: quantiles are samples that occurred (nearest rank), never interpolated. */

export interface Summary {
  readonly samples: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

/** Nearest-rank quantile of ascending `sorted`, `at` from 0 to 1. @throws RangeError when there are no samples */
export function quantile(sorted: readonly number[], at: number): number {
  const value = sorted[Math.max(0, Math.ceil(at * sorted.length) - 1)]
  if (value === undefined) throw new RangeError('There are no samples.')
  return value
}

export function summarise(samples: readonly number[]): Summary {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (share: number) => round(quantile(sorted, share), 3)
  return { samples: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) }
}

export function median(samples: readonly number[]): number {
  return quantile(
    samples.toSorted((a, b) => a - b),
    0.5,
  )
}

export function round(value: number, digits = 0): number {
  const factor = 10 ** digits
  return Math.round(value * factor) / factor
}

/** Whole things per second over `ms`. */
export function perSecond(count: number, ms: number): number {
  return round((count / ms) * 1000)
}
