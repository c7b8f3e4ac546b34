/**
 * The catalog of features: what each is, what it reads and who reads it, what is expected of it, and how its stored
 * values are.
 *
 * Invariant: reads only. What the code says and what is deployed may differ, and then both are told.
 */
import type { Pool } from '../db/pool.ts'
import type { Expectation } from '../define/index.ts'
import type { FeatureNode, Graph } from '../graph/graph.ts'
import { lineageOf } from '../graph/lineage.ts'
import { type FeatureFigures, readFeatureFigures } from './feature-figures.ts'
import { countViolations } from './violations.ts'

/** As they are stored; of a feature that is not deployed all is null or none. */
type Stored = Pick<
  FeatureFigures,
  | 'backfill'
  | 'rows'
  | 'fresh'
  | 'stale'
  | 'isExact'
  | 'aside'
  | 'freshnessSeconds'
  | 'nullRate'
  | 'isNullRateExact'
  | 'computed'
>

export interface CatalogEntry extends Stored {
  readonly entity: string
  readonly feature: string
  readonly description: string
  readonly type: string
  readonly version: number
  /** null: not deployed. */
  readonly deployedVersion: number | null
  /** Other code under the deployed version: nobody has answered for it, or somebody has said that it is equivalent. */
  readonly edit: 'none' | 'unanswered' | 'equivalent'
  readonly reads: readonly string[]
  readonly readBy: readonly string[]
  /** Share of computations that did not move the value, 0 to 1; null: never computed. */
  readonly cutOffRatio: number | null
  readonly expect: Expectation | null
  /** Values that are not as expected. */
  readonly violations: number
}

const NOT_DEPLOYED = {
  version: null,
  hash: '',
  equivalent: [],
  backfill: null,
  rows: null,
  fresh: null,
  stale: null,
  isExact: false,
  aside: null,
  freshnessSeconds: null,
  nullRate: null,
  isNullRateExact: false,
  computed: 0,
  moved: 0,
}

type Deployed = Pick<FeatureFigures, 'hash' | 'equivalent'> & { readonly version: number | null }

function editOf({ feature, hash }: FeatureNode, deployed: Deployed): CatalogEntry['edit'] {
  if (deployed.version !== feature.version || deployed.hash === hash) return 'none'
  return deployed.equivalent.includes(hash) ? 'equivalent' : 'unanswered'
}

export async function readCatalog(pool: Pool, graph: Graph): Promise<readonly CatalogEntry[]> {
  const nameOf = (entity: string, feature: string) => `${entity}.${feature}`
  const figures = await readFeatureFigures(pool)
  const known = new Map(figures.map((one) => [nameOf(one.entity, one.feature), one]))
  const violations = new Map<string, number>()
  for (const { entity, feature, count } of await countViolations(pool)) {
    const name = nameOf(entity, feature)
    violations.set(name, (violations.get(name) ?? 0) + count)
  }
  return [...graph.entities.values()].flatMap((node) =>
    node.features.map((featureNode: FeatureNode): CatalogEntry => {
      const { feature } = featureNode
      const entity = node.entity.name
      const { below, inputs, models } = lineageOf(node, featureNode)
      const deployed = known.get(nameOf(entity, feature.name)) ?? NOT_DEPLOYED
      const { version: deployedVersion, moved, hash: _hash, equivalent: _equivalent, ...stored } = deployed
      return {
        ...stored,
        entity,
        feature: feature.name,
        description: feature.description,
        type: feature.type,
        version: feature.version,
        deployedVersion,
        edit: editOf(featureNode, deployed),
        reads: inputs.map(({ text }) => text),
        readBy: [...below.map((name) => nameOf(entity, name)), ...models.map((name) => `model ${name}`)],
        cutOffRatio: stored.computed === 0 ? null : 1 - moved / stored.computed,
        expect: feature.expect,
        violations: violations.get(nameOf(entity, feature.name)) ?? 0,
      }
    }),
  )
}
