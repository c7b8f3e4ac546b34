/**
 * A newly computed value against what is expected of its feature.
 *
 * Invariants: pure. A value that breaks a rule is stored only where the feature says `warn`, or where somebody has let
 * this very value through. What it is held back for is the last good value: one that is stored, is not null and breaks
 * no rule itself; where there is none the entity cannot be vouched for and is put aside.
 */
import type { AnyFeature, Expectation, FeatureValue, Otherwise, Rule } from '../define/index.ts'
import type { Refusal } from './value.ts'

/** `stored`: all the same. `held`: the last good value stays. `aside`: the entity is put aside. */
export type Effect = 'stored' | 'held' | 'aside'

export interface Violation {
  readonly feature: string
  readonly rule: Rule
  readonly otherwise: Otherwise
  readonly effect: Effect
  /** As computed. */
  readonly value: FeatureValue
}

/** A violation as it is stored. */
export interface OpenViolation {
  readonly effect: Effect
  readonly value: FeatureValue
  readonly isAccepted: boolean
}

/** Whether one more null has room under the share that a feature allows. */
export interface NullRoom {
  take(feature: AnyFeature, isNewRow: boolean): boolean
}

/** Rules that a value breaks by itself, whatever was stored before. */
function brokenByItself(expect: Expectation, value: FeatureValue): Rule | null {
  if (value === null) return expect.notNull === true ? 'notNull' : null
  const { oneOf, min, max } = expect
  if (oneOf !== undefined && !oneOf.includes(value)) return 'oneOf'
  if (typeof value !== 'number') return null
  if (min !== undefined && value < min) return 'min'
  return max !== undefined && value > max ? 'max' : null
}

function isTooFar({ maxDelta }: Expectation, value: FeatureValue, stored: FeatureValue): boolean {
  if (maxDelta === undefined || typeof value !== 'number' || typeof stored !== 'number') return false
  const distance = Math.abs(value - stored)
  if (typeof maxDelta === 'number') return distance > maxDelta
  return stored !== 0 && distance > maxDelta.rel * Math.abs(stored)
}

export interface Standing {
  /** As stored; null also where there is no row. */
  readonly stored: FeatureValue
  readonly hasRow: boolean
  readonly open: OpenViolation | undefined
  readonly room: NullRoom
}

/** Null where null is stored adds nothing to the share of them. */
function isOneTooMany(feature: AnyFeature, { stored, hasRow, room }: Standing): boolean {
  if (feature.expect?.maxNullRate === undefined || (hasRow && stored === null)) return false
  return !room.take(feature, !hasRow)
}

/** @returns null: it passes */
export function judge(feature: AnyFeature, value: FeatureValue, standing: Standing): Violation | null {
  const { name, expect } = feature
  if (expect === null) return null
  const { stored, open } = standing
  const isAccepted = open?.isAccepted === true && open.value === value
  let rule = brokenByItself(expect, value)
  const isOver = value === null && isOneTooMany(feature, standing)
  // Once it is stored, an accepted value breaks neither of these any more.
  if (rule === null && isOver && !isAccepted) rule = 'maxNullRate'
  if (rule === null && isTooFar(expect, value, stored) && !isAccepted) rule = 'maxDelta'
  if (rule === null) return null
  const { otherwise } = expect
  const effectOf = (): Effect => {
    if (otherwise === 'warn' || isAccepted) return 'stored'
    const isGood = stored !== null && brokenByItself(expect, stored) === null
    return otherwise === 'block' && isGood ? 'held' : 'aside'
  }
  return { feature: name, rule, otherwise, effect: effectOf(), value }
}

export const ENOUGH_ROOM: NullRoom = { take: () => true }

const MAX_SHOWN = 100

/** What the quarantine says of an entity put aside for it. */
export function refusalOf({ expect }: AnyFeature, { rule, value }: Violation): Refusal {
  const limit = JSON.stringify(expect?.[rule])
  const shown = JSON.stringify(value).slice(0, MAX_SHOWN)
  const reason = `compute returned ${shown}, which breaks ${rule}${limit === 'true' ? '' : ` ${limit.slice(0, MAX_SHOWN)}`}.`
  return { code: 'FEATURE_EXPECTATION', reason: reason.toWellFormed() }
}
