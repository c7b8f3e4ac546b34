/**
 * Whether a value may be held back, must be told of, or puts its entity aside: from what is declared, the value from
 * scratch and the stored one.
 *
 * Invariant: nothing stored is believed but two things that only the past knows: that there was no room for one more
 * null, and that somebody has let a value through.
 */
import type { AnyFeature, Expectation, FeatureValue } from '../../define/index.ts'
import type { Difference } from './difference.ts'
import { difference, type Subject } from './subject.ts'
import type { Row } from './values.ts'

export interface Verdict {
  readonly rule: string
  readonly effect: 'stored' | 'held' | 'aside'
}

function breaks(expect: Expectation, value: FeatureValue): string | null {
  if (value === null) return expect.notNull ? 'notNull' : null
  if (expect.oneOf && expect.oneOf.indexOf(value) < 0) return 'oneOf'
  if (expect.min !== undefined && Number(value) < expect.min) return 'min'
  if (expect.max !== undefined && Number(value) > expect.max) return 'max'
  return null
}

function movesTooFar({ maxDelta }: Expectation, value: FeatureValue, stored: FeatureValue): boolean {
  if (maxDelta === undefined || value === null || stored === null) return false
  const moved = Math.abs(Number(value) - Number(stored))
  if (typeof maxDelta === 'number') return moved > maxDelta
  return Number(stored) !== 0 && moved > Math.abs(Number(stored)) * maxDelta.rel
}

/**
 * @param hasRow whether there is a feature row, which may hold null
 * @param said the violation as it is stored
 */
export function verdictOf(
  { expect }: AnyFeature,
  value: FeatureValue,
  stored: FeatureValue,
  hasRow: boolean,
  said: Row | null,
): Verdict | null {
  if (expect === null) return null
  // Accepted and still held back: its backfill has not come to it.
  const isAccepted = said !== null && said.accepted_at !== null && said.effect === 'stored' && said.value === value
  const isRefusedNull = !isAccepted && value === null && !(hasRow && stored === null) && said?.rule === 'maxNullRate'
  let rule = breaks(expect, value)
  if (rule === null && isRefusedNull && expect.maxNullRate !== undefined) rule = 'maxNullRate'
  if (rule === null && movesTooFar(expect, value, stored)) rule = 'maxDelta'
  if (rule === null) return null
  if (expect.otherwise === 'warn' || isAccepted) return { rule, effect: 'stored' }
  const isGood = stored !== null && breaks(expect, stored) === null
  return { rule, effect: expect.otherwise === 'block' && isGood ? 'held' : 'aside' }
}

/** Of these the value before is not known any more once the value is stored. */
const ONLY_THEN: readonly unknown[] = ['maxDelta', 'maxNullRate']

/** What is kept as broken rules against what is broken. */
export function checkViolations(subject: Subject): readonly Difference[] {
  const { node, outcome, violations } = subject
  const found: Difference[] = []
  const report = (feature: string, stored: Row | null, expected: Verdict | null) => {
    const says = (side: Row | Verdict | null) => (side === null ? 'passing' : `breaking ${side.rule} (${side.effect})`)
    const message = `The value is kept as ${says(stored)}; from scratch it is ${says(expected)}.`
    const what = stored === null ? null : { rule: stored.rule, effect: stored.effect }
    found.push(difference(subject, 'violation', { what: feature, stored: what, expected, message }))
  }
  if (outcome?.kind === 'failed') {
    // Of the other features nothing new is known since it is aside.
    for (const [feature, row] of violations) {
      if (row.effect === 'aside' && feature !== outcome.feature) report(feature, row, null)
    }
    const { feature, verdict } = outcome
    const stored = violations.get(feature) ?? null
    if (verdict !== null && (stored?.rule !== verdict.rule || stored.effect !== 'aside'))
      report(feature, stored, verdict)
    return found
  }
  const names = new Set([...violations.keys(), ...node.features.map(({ feature }) => feature.name)])
  for (const name of names) {
    const stored = violations.get(name) ?? null
    const expected = outcome?.verdicts.get(name) ?? null
    if (stored?.rule === expected?.rule && stored?.effect === expected?.effect) continue
    const isOfThen = stored !== null && stored.effect === 'stored' && ONLY_THEN.includes(stored.rule)
    if (outcome !== null && expected === null && isOfThen) continue
    report(name, stored, expected)
  }
  return found
}
