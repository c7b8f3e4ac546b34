/**
 * A stored feature row against the values from scratch.
 * Invariant: an entity whose features cannot be computed is compared with its quarantine row and nothing else.
 */
import { isSame, storedValue } from './compute.ts'
import type { Difference } from './difference.ts'
import { difference, type Subject } from './subject.ts'

/** @param epoch the epoch in which a feature of the entity last changed */
export function checkFeatures(subject: Subject, epoch: number): readonly Difference[] {
  const { node, outcome, features } = subject
  if (outcome?.kind === 'failed') return []
  if (outcome === null) {
    if (features === null) return []
    const message = 'A feature row is there, but the entity is not.'
    return [difference(subject, 'feature-row-extra', { what: null, stored: features, expected: null, message })]
  }
  if (features === null) {
    const expected = Object.fromEntries(outcome.fresh)
    const message = 'The entity has no feature row.'
    return [difference(subject, 'feature-row-missing', { what: null, stored: null, expected, message })]
  }
  const found: Difference[] = []
  for (const { feature } of node.features) {
    const stored = storedValue(feature.type, features[feature.name])
    const expected = outcome.fresh.get(feature.name) ?? null
    if (isSame(feature.equal, expected, stored)) continue
    const message = `Stored is ${shown(stored)}; from scratch it is ${shown(expected)}.`
    found.push(difference(subject, 'feature-value', { what: feature.name, stored, expected, message }))
  }
  if (Number(features.epoch) < epoch) {
    const message = `The row was computed in epoch ${features.epoch}; its definitions changed in ${epoch}.`
    found.push(
      difference(subject, 'feature-stale', { what: null, stored: Number(features.epoch), expected: epoch, message }),
    )
  }
  if (typeof features.snap_lsn !== 'string') {
    const message = 'The row does not say from which position it was computed.'
    found.push(difference(subject, 'provenance', { what: null, stored: null, expected: 'snap_lsn', message }))
  }
  return found
}

export function checkQuarantine(subject: Subject): readonly Difference[] {
  const { outcome, quarantine } = subject
  const stored = quarantine === null ? null : { feature: quarantine.feature, code: quarantine.code }
  const expected = outcome?.kind === 'failed' ? { feature: outcome.feature, code: outcome.code } : null
  if (stored?.feature === expected?.feature && stored?.code === expected?.code) return []
  const what = expected?.feature ?? String(stored?.feature)
  const says = (side: typeof stored) => (side === null ? 'computable' : `put aside: ${side.feature}: ${side.code}`)
  const message = `The entity is stored as ${says(stored)}; from scratch it is ${says(expected)}.`
  return [difference(subject, 'quarantine', { what, stored, expected, message })]
}

function shown(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : String(value)
}
