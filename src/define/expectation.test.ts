/** Expectations that can never hold, say nothing or do not fit the type are refused, in words that say what to change. */
import { expect, test } from 'vitest'
import { bigint, defineEntity, defineFeature, defineTable, type FeatureSpec, type FeatureType } from './index.ts'

const table = defineTable({ name: 'crm.companies', key: 'id', columns: { id: bigint().notNull() } })
const company = defineEntity({ name: 'company', table })

function declare<T extends FeatureType>(type: T, expected: FeatureSpec<Record<never, never>, T>['expect']) {
  return defineFeature({
    entity: company,
    name: 'size',
    version: 1,
    type,
    description: '',
    inputs: {},
    ...(expected === undefined ? {} : { expect: expected }),
    compute: () => null,
  }).expect
}

const otherwise = 'block'

test('one expectation is one text, however it is spelled', () => {
  expect(declare('number', undefined)).toBeNull()
  const spelled = [
    { otherwise, max: 9, notNull: true, min: 1, maxDelta: { rel: 0.5 }, oneOf: [1, 2.5] },
    { oneOf: [1, 2.5], maxDelta: { rel: 0.5 }, min: 1, max: 9, notNull: true, otherwise },
  ] as const
  const texts = spelled.map((one) => JSON.stringify(declare('number', one)))
  expect(texts[0]).toBe(texts[1])
  expect(declare('text', { oneOf: ['small', 'large'], maxNullRate: 0.1, otherwise: 'warn' })).not.toBeNull()
  expect(declare('boolean', { oneOf: [true], otherwise: 'quarantine' })).not.toBeNull()
})

test.each([
  // @ts-expect-error otherwise is not optional
  ['no otherwise', () => declare('number', { min: 1 }), /otherwise must be one of block, quarantine, warn/],
  // @ts-expect-error there is no such thing
  ['another otherwise', () => declare('number', { min: 1, otherwise: 'drop' }), /otherwise must be one of/],
  ['no rule', () => declare('number', { otherwise }), /names no rule/],
  // @ts-expect-error a typing error
  ['a rule that is none', () => declare('number', { minimum: 1, otherwise }), /no rule 'minimum'; there are notNull/],
  // @ts-expect-error texts have no order here
  ['min of a text', () => declare('text', { min: 1, otherwise }), /min is for numbers, and it is text/],
  // @ts-expect-error nor have booleans
  ['max of a boolean', () => declare('boolean', { max: 1, otherwise }), /max is for numbers, and it is boolean/],
  // @ts-expect-error nor have texts a distance
  ['delta of a text', () => declare('text', { maxDelta: 1, otherwise }), /maxDelta is for numbers/],
  ['min above max', () => declare('number', { min: 2, max: 1, otherwise }), /min 2 is above max 1/],
  ['min NaN', () => declare('number', { min: Number.NaN, otherwise }), /min must be a finite number, not NaN/],
  ['half of an integer', () => declare('integer', { max: 1.5, otherwise }), /max must be a finite integer, not 1.5/],
  ['delta 0', () => declare('number', { maxDelta: 0, otherwise }), /maxDelta must be a number above 0/],
  ['delta rel -1', () => declare('number', { maxDelta: { rel: -1 }, otherwise }), /maxDelta must be a number above 0/],
  ['an empty choice', () => declare('text', { oneOf: [], otherwise }), /at least one value/],
  // @ts-expect-error oneOf is of the type of the feature
  ['a choice of another type', () => declare('text', { oneOf: [1], otherwise }), /oneOf lists 1, which is not text/],
  ['a choice that is no integer', () => declare('integer', { oneOf: [1.5], otherwise }), /which is not integer/],
  ['a choice twice', () => declare('text', { oneOf: ['a', 'a'], otherwise }), /a value twice/],
  ['a choice below min', () => declare('number', { oneOf: [1, 9], min: 2, otherwise }), /1, which is below min 2/],
  // @ts-expect-error null is said with notNull
  ['a choice of null', () => declare('text', { oneOf: ['a', null], otherwise }), /must not list null/],
  ['a share of 1', () => declare('text', { maxNullRate: 1, otherwise }), /share above 0 and below 1/],
  ['a share of 0', () => declare('text', { maxNullRate: 0, otherwise }), /no null at all write notNull: true/],
  ['both about null', () => declare('text', { maxNullRate: 0.1, notNull: true, otherwise }), /nothing to say/],
  // @ts-expect-error it is true or left out
  ['notNull false', () => declare('text', { notNull: false, otherwise }), /notNull is true, or left out/],
])('%s', (_, attempt, reason) => {
  expect(attempt).toThrow(TypeError)
  expect(attempt).toThrow(reason)
})
