/** The fold against an oracle that knows no state, and the point-in-time cases of Feast's suites. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { FeatureValue } from '../define/index.ts'
import { plant } from '../faults.ts'
import { type FeatureStep, Known } from './fold.ts'
import { formatInstant, parseInstant } from './instant.ts'

const step = (
  op: FeatureStep['op'],
  validAt: number,
  recordedAt: number,
  values: Readonly<Record<string, FeatureValue>> = {},
): FeatureStep => ({
  op,
  changed:
    op === 'delete' ? null : Object.fromEntries(Object.entries(values).map(([name, to]) => [name, { from: 'x', to }])),
  validAt: BigInt(validAt),
  recordedAt: BigInt(recordedAt),
})

function knownAt(steps: readonly FeatureStep[], at: number): Known {
  const known = new Known(BigInt(at))
  for (const one of steps) known.add(one)
  return known
}

function valuesAt(steps: readonly FeatureStep[], at: number): Record<string, FeatureValue> {
  return Object.fromEntries([...knownAt(steps, at).values].map(([name, { value }]) => [name, value]))
}

/** The definition, word for word: of each feature the last row that counts, after the last that began or ended the entity. */
function oracle(steps: readonly FeatureStep[], at: number): Record<string, FeatureValue> {
  const counting = steps.filter(({ validAt, recordedAt }) => Number(validAt) <= at && Number(recordedAt) <= at)
  const begun = counting.findLastIndex(({ op }) => op !== 'update')
  const life = counting.slice(Math.max(0, begun))
  if (life[0]?.op === 'delete' && life.length === 1) return {}
  const names = new Set(life.flatMap(({ changed }) => Object.keys(changed ?? {})))
  return Object.fromEntries(
    [...names].map((name) => [
      name,
      life.findLast(({ changed }) => changed !== null && name in changed)?.changed?.[name]?.to ?? null,
    ]),
  )
}

const moment = fc.integer({ min: 0, max: 12 })
const values = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.oneof(fc.integer(), fc.constant(null)))
const steps = fc.array(
  fc
    .tuple(fc.constantFrom('insert' as const, 'update' as const, 'delete' as const), moment, moment, values)
    .map(([op, validAt, recordedAt, moved]) => step(op, validAt, recordedAt, moved)),
  { maxLength: 12 },
)
const sameAsOracle = fc.property(steps, moment, (rows, at) => {
  expect(valuesAt(rows, at)).toEqual(oracle(rows, at))
})
/** Rows that came to light after `at`, or are valid only from later on, may say anything. */
const blindToTheFuture = fc.property(steps, moment, (rows, at) => {
  const past = rows.filter(({ validAt, recordedAt }) => Number(validAt) <= at && Number(recordedAt) <= at)
  expect(valuesAt(rows, at)).toEqual(valuesAt(past, at))
})

test('what is known is what the definition says, whatever was recorded when', () => {
  fc.assert(sameAsOracle, { numRuns: 500 })
  fc.assert(blindToTheFuture, { numRuns: 500 })
})

test('a fold that takes what is true for what is known is caught', () => {
  using _ = plant('late-corrections-leak')
  expect(fc.check(sameAsOracle, { numRuns: 500 }).failed).toBe(true)
  expect(fc.check(blindToTheFuture, { numRuns: 500 }).failed).toBe(true)
})

test('no future leak: a row counts from the microsecond it is both valid and recorded', () => {
  const rows = [step('insert', 10, 10, { a: 1 }), step('update', 20, 25, { a: 2 }), step('update', 40, 30, { a: 3 })]
  expect([9, 10, 24, 25, 39, 40].map((at) => valuesAt(rows, at).a)).toEqual([undefined, 1, 1, 2, 2, 3])
})

test('containing backfills: of two rows valid from the same moment the later recorded one stands, once it is recorded', () => {
  const rows = [step('insert', 10, 11, { a: 1, b: 1 }), step('update', 10, 20, { a: 2 })]
  expect(valuesAt(rows, 15)).toEqual({ a: 1, b: 1 })
  expect(valuesAt(rows, 20)).toEqual({ a: 2, b: 1 })
})

test('a value corrected later for a time before does not leak into what was known then', () => {
  const rows = [step('insert', 10, 10, { a: 'as it was taken for' }), step('update', 5, 30, { a: 'corrected' })]
  expect(valuesAt(rows, 29)).toEqual({ a: 'as it was taken for' })
  expect(valuesAt(rows, 30)).toEqual({ a: 'corrected' })
})

test('an entity deleted has no values, and one that came back has none of its former ones', () => {
  const rows = [
    step('insert', 1, 1, { a: 1, b: 1 }),
    step('delete', 5, 5),
    step('insert', 9, 9, { a: 2 }),
    step('update', 10, 10, { c: null }),
  ]
  const gone = knownAt(rows, 8)
  expect([gone.exists, gone.wasDeleted, gone.values.size]).toEqual([false, true, 0])
  expect(valuesAt(rows, 10)).toEqual({ a: 2, c: null })
  expect(knownAt(rows, 0)).toMatchObject({ exists: false, wasDeleted: false, recordedAt: null })
})

test('a history whose beginning was deleted says so', () => {
  expect(knownAt([step('update', 3, 3, { a: 1 })], 3).isCut).toBe(true)
  expect(knownAt([step('insert', 3, 3, { a: 1 }), step('update', 4, 4, { a: 2 })], 9).isCut).toBe(false)
})

test.each([
  ['2024-06-01', '2024-06-01T00:00:00.000000Z'],
  ['2024-06-01 12:30', '2024-06-01T12:30:00.000000Z'],
  ['2024-06-01T12:30:00.1234567+02:00', '2024-06-01T10:30:00.123456Z'],
  ['2024-02-29 23:59:59.999999-0030', '2024-03-01T00:29:59.999999Z'],
  ['0099-01-01', '0099-01-01T00:00:00.000000Z'],
  ['1969-12-31T23:59:59.000001Z', '1969-12-31T23:59:59.000001Z'],
])('%s is a time', (text, instant) => {
  const parsed = parseInstant(text)
  expect(parsed === null ? null : formatInstant(parsed)).toBe(instant)
})

test.each([
  '',
  'soon',
  '2023-02-29',
  '2024-13-01',
  '2024-06-01T24:00',
  '2024-06-01T10:00:60Z',
  '06/01/2024',
  '1717200000',
])("'%s' is none", (text) => {
  expect(parseInstant(text)).toBeNull()
})
