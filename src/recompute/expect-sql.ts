/**
 * What is expected of stored values, as SQL: for the many rows that a changed expectation is about.
 *
 * Invariant: true of exactly the stored values that break a rule by themselves (expect.ts); of rules that need the value
 * before, or the whole column, it says nothing.
 */
import { quoteIdent } from '../db/pool.ts'
import { type AnyFeature, FEATURE_POSTGRES_TYPE, type FeatureValue } from '../define/index.ts'

function literal(value: FeatureValue, type: string): string {
  return `'${String(value).replaceAll("'", "''")}'::${type}`
}

/** A condition on a row of the feature table; 'false' where nothing stored can break a rule. Never null. */
export function brokenSql({ name, type, expect }: AnyFeature): string {
  if (expect === null) return 'false'
  const { notNull, oneOf, min, max } = expect
  const column = quoteIdent(name)
  const own = FEATURE_POSTGRES_TYPE[type]
  const parts: string[] = []
  if (notNull === true) parts.push(`${column} is null`)
  if (oneOf !== undefined) {
    const values = oneOf.map((value) => literal(value, own)).join(', ')
    parts.push(`coalesce(${column} <> all(array[${values}]), false)`)
  }
  if (min !== undefined) parts.push(`coalesce(${column} < ${literal(min, own)}, false)`)
  if (max !== undefined) parts.push(`coalesce(${column} > ${literal(max, own)}, false)`)
  return parts.length === 0 ? 'false' : `(${parts.join(' or ')})`
}
