/**
 * What becomes of the values of one entity under rules, by the plainest way: one value after the other, no bits, no SQL.
 * Shares nothing with src/recompute but the declarations.
 */
import type { AnyFeature, Expectation, FeatureValue } from '../../src/define/index.ts'

export interface Known {
  /** Stored by feature; null: there is no row. */
  row: Record<string, FeatureValue> | null
  /** Feature → `rule effect value`. */
  violations: Record<string, string>
  /** Feature that it is put aside for. */
  aside: string | null
}

function rulesBroken(expect: Expectation, value: FeatureValue): string[] {
  const broken: string[] = []
  if (expect.notNull && value === null) broken.push('notNull')
  if (value === null) return broken
  if (expect.oneOf && !expect.oneOf.some((one) => one === value)) broken.push('oneOf')
  if (expect.min !== undefined && !(Number(value) >= expect.min)) broken.push('min')
  if (expect.max !== undefined && !(Number(value) <= expect.max)) broken.push('max')
  return broken
}

function isFar({ maxDelta }: Expectation, value: FeatureValue, before: FeatureValue): boolean {
  if (maxDelta === undefined || value === null || before === null) return false
  if (typeof maxDelta === 'number') return Math.abs(Number(value) - Number(before)) > maxDelta
  return before !== 0 && Math.abs(Number(value) - Number(before)) / Math.abs(Number(before)) > maxDelta.rel
}

/** Computes every feature of an entity whose column is now `n`; what it gives, `features` say in their order. */
export function compute(known: Known, features: readonly AnyFeature[], n: number | null): void {
  const next: Record<string, FeatureValue> = {}
  const violations: Record<string, string> = {}
  for (const { name, expect, inputs, compute } of features) {
    const given = Object.fromEntries(
      Object.entries(inputs).map(([alias, input]) => [alias, input.input === 'feature' ? next[input.name] : n]),
    )
    const value = compute(given)
    const before = known.row?.[name] ?? null
    next[name] = value
    if (expect === null) continue
    const own = rulesBroken(expect, value)
    if (own.length === 0 && isFar(expect, value, before)) own.push('maxDelta')
    const [rule] = own
    if (rule === undefined) continue
    const isGood = before !== null && rulesBroken(expect, before).length === 0
    if (expect.otherwise === 'quarantine' || (expect.otherwise === 'block' && !isGood)) {
      known.aside = name
      for (const [other, text] of Object.entries(known.violations)) {
        if (text.includes(' aside ')) delete known.violations[other]
      }
      known.violations[name] = `${rule} aside ${value}`
      return
    }
    violations[name] = `${rule} ${expect.otherwise === 'warn' ? 'stored' : 'held'} ${value}`
    if (expect.otherwise === 'block') next[name] = before
  }
  known.row = next
  known.violations = violations
  known.aside = null
}
