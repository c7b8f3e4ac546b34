/** The targets, held against the figures of a run. Reported, never asserted: machines differ. */

export interface Target {
  readonly name: string
  /** Where in the output the figure is: names with dots between. */
  readonly at: string
  readonly atMost?: number
  readonly atLeast?: number
}

/** Of `npm run bench`, on two cores at scale 1. */
export const TARGETS: readonly Target[] = [
  { name: 'p99 idle, ms', at: 'latency.idle.fromCommitMs.p99', atMost: 25 },
  { name: 'p99 at 200 changes/s, ms', at: 'latency.steady.fromCommitMs.p99', atMost: 100 },
  { name: 'sustained changes/s', at: 'throughput.changesPerSecond', atLeast: 3_000 },
  {
    name: 'full re-score, every value changes, entities/s',
    at: 'rescore.everyValueChanges.entitiesPerSecond',
    atLeast: 24_000,
  },
  {
    name: 'full re-score, no value changes, entities/s',
    at: 'rescore.noValueChanges.entitiesPerSecond',
    atLeast: 24_000,
  },
  { name: 'first load through the connector, records/s', at: 'connector.recordsLandedPerSecond', atLeast: 5_000 },
  { name: 'first load through the connector, companies/s', at: 'connector.companiesLandedPerSecond', atLeast: 5_000 },
  { name: 'peak memory, latency, MB', at: 'latency.peakRssMb', atMost: 512 },
  { name: 'peak memory, sustained load, MB', at: 'throughput.peakRssMb', atMost: 512 },
  { name: 'peak memory, full re-score, MB', at: 'rescore.everyValueChanges.peakRssMb', atMost: 512 },
  { name: 'peak memory, first load through the connector, MB', at: 'connector.peakRssMb', atMost: 512 },
  { name: 'peak memory, transaction of 1 million rows, MB', at: 'memory.peakRssMb', atMost: 512 },
  { name: 'live p99 beside a backfill of 10k, of calm', at: 'backfill.at10000.live.p99OfCalm', atMost: 2 },
  { name: 'live p99 beside a backfill of 100k, of calm', at: 'backfill.at100000.live.p99OfCalm', atMost: 2 },
  { name: 'live p99 beside a backfill of 1M, of calm', at: 'backfill.at1000000.live.p99OfCalm', atMost: 2 },
  { name: 'one change at 1M against 10k entities, ratio', at: 'scale.ratioOfMedians', atMost: 1.2 },
  { name: 'p99 to the label beside a backfill, of that without', at: 'changing.unchanging.p99ToCalm.label', atMost: 2 },
  { name: 'the same where every value changes', at: 'changing.changing.p99ToCalm.label', atMost: 2 },
  {
    name: 'p99 to the feature row beside a backfill, of that without',
    at: 'changing.unchanging.p99ToCalm.features',
    atMost: 2,
  },
  { name: 'the same where every value changes, feature row', at: 'changing.changing.p99ToCalm.features', atMost: 2 },
]

export interface TargetResult {
  readonly name: string
  readonly target: string
  /** null: not measured in this run. */
  readonly value: number | null
  readonly met: boolean | null
}

function figureAt(figures: unknown, path: string): number | null {
  let found = figures
  for (const name of path.split('.')) {
    if (typeof found !== 'object' || found === null) return null
    found = Object.getOwnPropertyDescriptor(found, name)?.value
  }
  return typeof found === 'number' ? found : null
}

function resultOf(figures: unknown, { name, at, atMost, atLeast }: Target): TargetResult {
  const value = figureAt(figures, at)
  const target = atMost === undefined ? `≥ ${atLeast}` : `≤ ${atMost}`
  if (value === null) return { name, target, value, met: null }
  return { name, target, value, met: value <= (atMost ?? Number.POSITIVE_INFINITY) && value >= (atLeast ?? 0) }
}

/** @param figures what the measurements returned, by name */
export function holdAgainstTargets(figures: unknown, targets: readonly Target[]): readonly TargetResult[] {
  return targets.map((target) => resultOf(figures, target))
}
