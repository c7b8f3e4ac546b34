/**
 * When two probabilities count as the same: the one declaration, for scoring and for verification.
 *
 * Inference is not the same bits everywhere (batch size, threads, platform: measured up to 3.6e-7), so equality of
 * scores needs a tolerance; 1e-6 is far below anything a decision can hang on.
 */

/** Verification accepts a stored probability this far from the one computed afresh. */
export const PROBABILITY_TOLERANCE = 1e-6

/**
 * A stored probability this near to the new one is kept. Half, because what is kept is off by this much and the next
 * inference of the same inputs adds its own noise: together they stay within what verification accepts.
 */
export const KEPT_TOLERANCE = PROBABILITY_TOLERANCE / 2

/** False when the lengths differ or a value is not a number. */
export function sameProbabilities(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  tolerance: number = PROBABILITY_TOLERANCE,
): boolean {
  if (a.length !== b.length) return false
  for (let index = 0; index < a.length; index += 1) {
    if (!(Math.abs(Number(a[index]) - Number(b[index])) <= tolerance)) return false
  }
  return true
}
