/**
 * A feature: a named, typed, versioned, pure function of declared inputs, for one entity. The declaration is the
 * lineage, exact to the column: what `inputs` does not name, `compute` cannot read.
 */
import { type AnyEntity, assertName, type ColumnInput } from './entity.ts'
import { checkExpectation, type Expectation, type ExpectationSpec } from './expectation.ts'
import type { AggregateInput } from './relation.ts'
import type { DaysSinceInput, PeriodInput } from './time.ts'

/** | declared | PostgreSQL | value | : number → double precision (finite), integer → bigint (safe integer), boolean, text */
export interface FeatureTypes {
  number: number
  integer: number
  boolean: boolean
  text: string
}
export type FeatureType = keyof FeatureTypes

export const FEATURE_POSTGRES_TYPE = {
  number: 'double precision',
  integer: 'bigint',
  boolean: 'boolean',
  text: 'text',
} as const satisfies Record<FeatureType, string>

export type FeatureValue = number | boolean | string | null

/** How a recomputed value is held against the stored one. Default exact; NaN equals NaN and -0 equals 0. */
export type Equality = 'exact' | { readonly abs: number } | { readonly rel: number }

export interface AnyFeature {
  readonly input: 'feature'
  readonly entity: AnyEntity
  readonly name: string
  /** The authority on whether stored values are stale: bump it whenever the value can differ. */
  readonly version: number
  readonly type: FeatureType
  readonly description: string
  readonly inputs: Readonly<Record<string, AnyInput>>
  readonly equal: Equality
  readonly expect: Expectation | null
  /** Called with exactly the declared inputs; must be pure and synchronous, without network, and the clock only by an input. */
  compute(inputs: Readonly<Record<string, unknown>>): FeatureValue
}

export interface Feature<T = unknown> extends AnyFeature {
  readonly $value?: T
}

export type AnyInput = ColumnInput | AggregateInput | DaysSinceInput | PeriodInput | AnyFeature

type InputValue<I> = I extends { readonly $value?: infer T } ? Exclude<T, undefined> : never
export type InputValues<I> = { readonly [K in keyof I]: InputValue<I[K]> }

export interface FeatureSpec<I extends Readonly<Record<string, AnyInput>>, T extends FeatureType> {
  readonly entity: AnyEntity
  readonly name: string
  readonly version: number
  readonly type: T
  readonly description: string
  readonly inputs: I
  readonly equal?: Equality
  /** Rules its values are held against when they are computed, and what becomes of one that breaks a rule. */
  readonly expect?: ExpectationSpec<T>
  /** `null` says "unknown"; NaN and infinities are errors. A method, so that inputs stay exactly typed. */
  readonly compute: (inputs: InputValues<I>) => FeatureTypes[T] | null
}

/**
 * Names a feature may not take: columns the engine keeps beside the values in `rescore.features_<entity>`.
 */
export const RESERVED_FEATURE_NAMES = [
  'key',
  'snap_lsn',
  'epoch',
  'source_lsn',
  'source_at',
  'computed_at',
  'silenced_by',
] as const

/** @throws TypeError when the name, the version or an input is unusable */
export function defineFeature<const I extends Readonly<Record<string, AnyInput>>, T extends FeatureType>(
  spec: FeatureSpec<I, T>,
): Feature<FeatureTypes[T] | null> {
  const { entity, name, version, type, description, inputs, equal = 'exact' } = spec
  assertName('Feature', name)
  if (RESERVED_FEATURE_NAMES.some((reserved) => reserved === name)) {
    throw new TypeError(`Feature name '${name}' is reserved; reserved are ${RESERVED_FEATURE_NAMES.join(', ')}.`)
  }
  if (!Number.isInteger(version) || version < 1) {
    throw new TypeError(`Feature '${name}' needs a whole version from 1 on, got ${version}.`)
  }
  for (const [alias, input] of Object.entries(inputs)) {
    const column = input.input === 'days-since' ? input.of : input
    if (column.input === 'column' && column.table.id !== entity.table.id) {
      throw new TypeError(
        `Input '${alias}' of feature '${name}' is a column of ${column.table.id}; its entity is ${entity.name}.`,
      )
    }
    if (input.input === 'feature' && input.entity.name !== entity.name) {
      throw new TypeError(
        `Input '${alias}' of feature '${name}' is a feature of ${input.entity.name}; its entity is ${entity.name}.`,
      )
    }
  }
  const expect = spec.expect === undefined ? null : checkExpectation(name, type, spec.expect)
  // Bivariance of methods is what lets one erased signature hold every typed compute.
  const erased: { compute(inputs: InputValues<I>): FeatureValue } = { compute: spec.compute }
  return { input: 'feature', entity, name, version, type, description, inputs, equal, expect, ...erased }
}
