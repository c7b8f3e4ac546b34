/**
 * Series of each feature: set anew at every scrape from what the database says.
 * Invariant: what is not known has no series; an old figure would look like a new one.
 */
import type { FeatureFigures } from './feature-figures.ts'
import type { MetricTable } from './metric-table.ts'
import type { ViolationCount } from './violations.ts'

export function setViolations(table: MetricTable, counts: readonly ViolationCount[]): void {
  table.violations.reset()
  table.violationAge.reset()
  for (const { entity, feature, rule, otherwise, count, accepted } of counts) {
    const at = { entity, feature, rule, otherwise }
    // Values of one rule may be held back here and put their entity aside there.
    table.violations.inc(at, count - accepted)
  }
  for (const [at, seconds] of oldest(counts)) table.violationAge.set(at, seconds)
}

type Labels = Pick<ViolationCount, 'entity' | 'feature' | 'rule' | 'otherwise'>

function oldest(counts: readonly ViolationCount[]): readonly (readonly [Labels, number])[] {
  const groups = Map.groupBy(counts, ({ entity, feature, rule, otherwise }) =>
    JSON.stringify([entity, feature, rule, otherwise]),
  )
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const { entity, feature, rule, otherwise } = first
    return [[{ entity, feature, rule, otherwise }, Math.max(...group.map((one) => one.oldestSeconds))] as const]
  })
}

export function setFeatures(table: MetricTable, features: readonly FeatureFigures[] | null): void {
  const { featureFreshness, featureStale, featureNulls, featureComputed, featureMoved } = table
  for (const metric of [featureFreshness, featureStale, featureNulls, featureComputed, featureMoved]) metric.reset()
  for (const { entity, feature, freshnessSeconds, stale, nullRate, computed, moved } of features ?? []) {
    const at = { entity, feature }
    if (freshnessSeconds !== null) featureFreshness.set(at, freshnessSeconds)
    if (stale !== null) featureStale.set(at, stale)
    if (nullRate !== null) featureNulls.set(at, nullRate)
    featureComputed.inc(at, computed)
    featureMoved.inc(at, moved)
  }
}
