/**
 * What a feature's values are expected to be, and what becomes of one that is not.
 *
 * Invariant: pure data; what can never hold, says nothing or says the same twice is refused when it is declared. An
 * expectation is no part of the feature's version: a value that satisfies it is the same value.
 */
import type { FeatureType, FeatureTypes, FeatureValue } from './feature.ts'

/** In the order in which they are looked at; the first that is broken is the one that is told. */
export const RULES = ['notNull', 'maxNullRate', 'oneOf', 'min', 'max', 'maxDelta'] as const
export type Rule = (typeof RULES)[number]

/**
 * `block`: the value before it stays, and readers and models go on with that; where there is none, as `quarantine`.
 * `quarantine`: the whole entity is put aside. `warn`: stored all the same. Each is kept as a violation.
 */
export const OTHERWISE = ['block', 'quarantine', 'warn'] as const
export type Otherwise = (typeof OTHERWISE)[number]

/** How far a value may be from the stored one: absolute, or as a share of the stored one (of 0: however far). */
export type MaxDelta = number | { readonly rel: number }

interface OfAnyType<T extends FeatureType> {
  readonly notNull?: true
  /** Share of the entities, above 0 and below 1: a new null that would bring the column above it breaks the rule. */
  readonly maxNullRate?: number
  /** Null is not one of them: see `notNull`. */
  readonly oneOf?: readonly FeatureTypes[T][]
  readonly otherwise: Otherwise
}

interface OfNumbers {
  readonly min?: number
  readonly max?: number
  readonly maxDelta?: MaxDelta
}

interface OfOthers {
  readonly min?: never
  readonly max?: never
  readonly maxDelta?: never
}

export type ExpectationSpec<T extends FeatureType> = OfAnyType<T> &
  (T extends 'number' | 'integer' ? OfNumbers : OfOthers)

/** With the type of the feature erased. */
export interface Expectation {
  readonly notNull?: true
  readonly maxNullRate?: number
  readonly oneOf?: readonly FeatureValue[]
  readonly min?: number
  readonly max?: number
  readonly maxDelta?: MaxDelta
  readonly otherwise: Otherwise
}

const KNOWN: readonly string[] = [...RULES, 'otherwise']

function isOfType(type: FeatureType, value: unknown): boolean {
  if (type === 'text') return typeof value === 'string' && value.isWellFormed() && !value.includes('\0')
  if (type === 'boolean') return typeof value === 'boolean'
  return type === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value)
}

type Refuse = (what: string) => TypeError

function checkBounds(type: FeatureType, { min, max, maxDelta }: Expectation, refuse: Refuse): void {
  const isNumber = type === 'number' || type === 'integer'
  for (const [rule, bound] of Object.entries({ min, max, maxDelta })) {
    if (bound === undefined) continue
    if (!isNumber) throw refuse(`${rule} is for numbers, and it is ${type}`)
    if (rule !== 'maxDelta' && !isOfType(type, bound)) throw refuse(`${rule} must be a finite ${type}, not ${bound}`)
  }
  if (min !== undefined && max !== undefined && min > max) throw refuse(`min ${min} is above max ${max}`)
  if (maxDelta === undefined) return
  const size = typeof maxDelta === 'object' && maxDelta !== null ? maxDelta.rel : maxDelta
  if (!Number.isFinite(size) || size <= 0) throw refuse('maxDelta must be a number above 0, or { rel: <above 0> }')
}

function checkNulls({ notNull, maxNullRate }: Expectation, refuse: Refuse): void {
  if (notNull !== undefined && notNull !== true) throw refuse('notNull is true, or left out')
  if (maxNullRate === undefined) return
  if (notNull === true) throw refuse('notNull allows no null at all, so maxNullRate has nothing to say')
  if (!(maxNullRate > 0 && maxNullRate < 1))
    throw refuse('maxNullRate is a share above 0 and below 1; for no null at all write notNull: true')
}

function checkChoices(type: FeatureType, { oneOf, min, max }: Expectation, refuse: Refuse): void {
  if (oneOf === undefined) return
  if (!Array.isArray(oneOf) || oneOf.length === 0) throw refuse('oneOf must list at least one value')
  for (const value of oneOf) {
    if (value === null) throw refuse('oneOf must not list null; null always passes it, unless notNull is declared')
    if (!isOfType(type, value)) throw refuse(`oneOf lists ${JSON.stringify(value)}, which is not ${type}`)
    if (min !== undefined && Number(value) < min) throw refuse(`oneOf lists ${value}, which is below min ${min}`)
    if (max !== undefined && Number(value) > max) throw refuse(`oneOf lists ${value}, which is above max ${max}`)
  }
  if (new Set(oneOf).size < oneOf.length) throw refuse('oneOf lists a value twice')
}

/** @throws TypeError when it is contradictory, says nothing or does not fit the type */
export function checkExpectation(name: string, type: FeatureType, expect: Expectation): Expectation {
  const refuse: Refuse = (what) => new TypeError(`Feature '${name}' expects the impossible or nothing: ${what}.`)
  if (typeof expect !== 'object' || expect === null) throw refuse('expect must be an object')
  const given = Object.entries(expect).filter(([, value]) => value !== undefined)
  const unknown = given.find(([rule]) => !KNOWN.includes(rule))
  if (unknown !== undefined) throw refuse(`there is no rule '${unknown[0]}'; there are ${RULES.join(', ')}`)
  if (!OTHERWISE.includes(expect.otherwise)) throw refuse(`otherwise must be one of ${OTHERWISE.join(', ')}`)
  if (given.length === 1) throw refuse('it names no rule')
  checkNulls(expect, refuse)
  checkBounds(type, expect, refuse)
  checkChoices(type, expect, refuse)
  // In one order, so that two spellings of the same expectation are one text.
  const ordered = KNOWN.flatMap((rule) => given.filter(([known]) => known === rule))
  return { ...Object.fromEntries(ordered), otherwise: expect.otherwise }
}
