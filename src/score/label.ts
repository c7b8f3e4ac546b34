/**
 * From probabilities to a classification, and what of a stored one is kept.
 *
 * Invariant: a label moves only when its model says so: neither the noise of inference nor a probability that sits on
 * the threshold makes it flip to and fro.
 */
import type { Manifest } from './manifest.ts'
import { KEPT_TOLERANCE, sameProbabilities } from './tolerance.ts'

export interface Classification {
  readonly label: string
  /** Of the manifest's positive class. */
  readonly probability: number
  /** In manifest order. */
  readonly probabilities: readonly number[]
}

/** The positive class from its threshold on (inclusive), else the most probable of the others. */
export function classify(manifest: Manifest, probabilities: readonly number[]): Classification {
  const { classes, positive, threshold } = manifest
  const probability = probabilities[classes.indexOf(positive)] ?? Number.NaN
  if (probability >= threshold) return { label: positive, probability, probabilities }
  let best = { label: positive, of: Number.NEGATIVE_INFINITY }
  for (const [index, label] of classes.entries()) {
    const of = probabilities[index] ?? Number.NaN
    if (label !== positive && of > best.of) best = { label, of }
  }
  return { label: best.label, probability, probabilities }
}

/**
 * What is to be stored where `stored` is: the same object when the two are equal within tolerance, and the stored label
 * when the probability hardly moved and is on the threshold.
 */
export function settle(manifest: Manifest, fresh: Classification, stored: Classification): Classification {
  const isOnThreshold =
    manifest.classes.includes(stored.label) &&
    Math.abs(fresh.probability - manifest.threshold) <= KEPT_TOLERANCE &&
    sameProbabilities(fresh.probabilities, stored.probabilities)
  const label = isOnThreshold ? stored.label : fresh.label
  if (label === stored.label && sameProbabilities(fresh.probabilities, stored.probabilities, KEPT_TOLERANCE)) {
    return stored
  }
  return { ...fresh, label }
}
