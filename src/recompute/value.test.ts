import { describe, expect, test } from 'vitest'
import type { FeatureType } from '../define/index.ts'
import { areEqual, checkValue } from './value.ts'

describe('what compute may return', () => {
  test.each<[string, FeatureType, unknown, string]>([
    ['undefined', 'number', undefined, 'FEATURE_NO_VALUE'],
    ['NaN', 'number', Number.NaN, 'FEATURE_NOT_FINITE'],
    ['infinity', 'integer', Number.POSITIVE_INFINITY, 'FEATURE_NOT_FINITE'],
    ['a fraction', 'integer', 0.5, 'FEATURE_NOT_INTEGER'],
    ['2^53', 'integer', 2 ** 53, 'FEATURE_NOT_INTEGER'],
    ['a bigint', 'integer', 5n, 'FEATURE_WRONG_TYPE'],
    ['a text for a number', 'number', '5', 'FEATURE_WRONG_TYPE'],
    ['a number for a flag', 'boolean', 1, 'FEATURE_WRONG_TYPE'],
    ['a promise', 'number', Promise.resolve(1), 'FEATURE_WRONG_TYPE'],
    ['a NUL', 'text', 'a\0b', 'FEATURE_WRONG_TYPE'],
  ])('not %s', (_, type, value, code) => {
    expect(checkValue(type, value)).toMatchObject({ refusal: { code } })
  })

  test.each<[FeatureType, unknown, unknown]>([
    ['number', null, null],
    ['number', -0, 0],
    ['integer', 2 ** 53 - 1, 2 ** 53 - 1],
    ['text', 'half \ud83d', 'half \ufffd'],
    ['boolean', false, false],
  ])('%s %o is kept as %o', (type, value, kept) => {
    expect(checkValue(type, value)).toStrictEqual({ value: kept })
  })
})

test('null equals null only, tolerances are inclusive and for numbers', () => {
  expect(areEqual({ abs: 1 }, null, 0)).toBe(false)
  expect(areEqual({ abs: 1 }, null, null)).toBe(true)
  expect(areEqual({ abs: 1 }, 1, 2)).toBe(true)
  expect(areEqual({ abs: 1 }, 1, 2.5)).toBe(false)
  expect(areEqual({ rel: 0.1 }, -100, -110)).toBe(true)
  expect(areEqual({ rel: 0.1 }, 1, -1)).toBe(false)
  expect(areEqual({ rel: 1 }, 'a', 'b')).toBe(false)
  expect(areEqual('exact', 1, 1 + Number.EPSILON)).toBe(false)
})
