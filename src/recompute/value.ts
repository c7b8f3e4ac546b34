/**
 * What a compute function may return, and when two values are the same.
 * Invariant: a value that passes is stored and read back as exactly itself; null equals null only.
 */
import type { Equality, FeatureType, FeatureValue } from '../define/index.ts'

export interface Refusal {
  readonly code: string
  readonly reason: string
}

export type Checked = { readonly value: FeatureValue } | { readonly refusal: Refusal }

function refuse(code: string, reason: string): Checked {
  return { refusal: { code, reason } }
}

/** -0 becomes 0; half a surrogate pair, which UTF-8 cannot hold, becomes the replacement character. */
export function checkValue(type: FeatureType, value: unknown): Checked {
  if (value === null) return { value }
  if (value === undefined) return refuse('FEATURE_NO_VALUE', 'compute returned undefined; null says unknown.')
  const wrong = () => refuse('FEATURE_WRONG_TYPE', `compute returned ${typeof value}, the feature is ${type}.`)
  if (type === 'text') {
    if (typeof value !== 'string') return wrong()
    if (value.includes('\0')) return refuse('FEATURE_WRONG_TYPE', 'compute returned text with a NUL character.')
    return { value: value.toWellFormed() }
  }
  if (type === 'boolean') return typeof value === 'boolean' ? { value } : wrong()
  if (typeof value !== 'number') return wrong()
  if (!Number.isFinite(value)) return refuse('FEATURE_NOT_FINITE', `compute returned ${value}.`)
  if (type === 'integer' && !Number.isSafeInteger(value)) {
    return refuse('FEATURE_NOT_INTEGER', `compute returned ${value}, which is not a whole number of at most 2^53 - 1.`)
  }
  return { value: value + 0 }
}

export function areEqual(equality: Equality, a: FeatureValue, b: FeatureValue): boolean {
  if (a === b) return true
  if (equality === 'exact' || typeof a !== 'number' || typeof b !== 'number') return false
  const difference = Math.abs(a - b)
  return 'abs' in equality
    ? difference <= equality.abs
    : difference <= equality.rel * Math.max(Math.abs(a), Math.abs(b))
}
