/**
 * Definitions that are older than the deployed ones: whether a start may deploy them.
 *
 * Invariant: a process of an older release, started again beside or after a newer one, changes nothing. It is told by a
 * version below the deployed one, and by definitions that were deployed before and replaced (a feature of the newer
 * release would be removed, a removed one come back). Going back on purpose is asked for: `rescore start --rollback`.
 */
import type { Queryable } from '../db/pool.ts'
import { replacedRelease } from '../db/release.ts'
import { RescoreError } from '../errors.ts'
import type { Graph } from '../graph/graph.ts'
import { type DeployedDefinition, membersOf } from './definitions.ts'

const ROLLBACK = 'to go back on purpose, once: rescore start --rollback'

function outdated(message: string, mend: string): RescoreError {
  return new RescoreError({ code: 'FEATURE_OUTDATED', fate: 'stop', message, mend })
}

/** Why deploying these definitions would be refused; null: it would not. */
export async function findOutdated(
  database: Queryable,
  graph: Graph,
  deployed: readonly DeployedDefinition[],
): Promise<RescoreError | null> {
  const lower = deployed.flatMap(({ entity, feature, version }) => {
    const here = graph.entities.get(entity)?.features.find((one) => one.feature.name === feature)?.feature.version
    return here !== undefined && here < version ? [{ name: `${entity}.${feature}`, here, version }] : []
  })
  const [first] = lower
  if (first !== undefined) {
    const more = lower.length === 1 ? '' : `, and ${lower.length - 1} more are older too`
    return outdated(
      `Feature ${first.name} is version ${first.here} here, and version ${first.version} is deployed${more}.`,
      `Start with the code that is deployed, or raise the version to ${first.version + 1}; ${ROLLBACK}`,
    )
  }
  const replaced = await replacedRelease(database, 'features', membersOf(graph))
  if (replaced === null) return null
  return outdated(
    `These definitions were deployed on ${replaced.deployedAt} and replaced on ${replaced.replacedAt}.`,
    `Start with the code that is deployed; ${ROLLBACK}`,
  )
}

/** @throws RescoreError FEATURE_OUTDATED */
export async function refuseOutdated(
  database: Queryable,
  graph: Graph,
  deployed: readonly DeployedDefinition[],
): Promise<void> {
  const found = await findOutdated(database, graph, deployed)
  if (found !== null) throw found
}
