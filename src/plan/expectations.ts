/**
 * Expectations that differ from the deployed ones: what deploying them would do to values that are stored.
 *
 * Invariant: counted by the same condition that deploying marks rows with, so what is counted is what is computed again.
 * Of features whose values are all computed anew nothing is said here: the sample says it.
 */
import { isCanceled, type Pool, quoteTable, withTransaction } from '../db/pool.ts'
import type { EntityNode, FeatureNode } from '../graph/graph.ts'
import { readExpected, reexpected } from '../recompute/deploy-expect.ts'
import { brokenSql } from '../recompute/expect-sql.ts'
import type { ExpectationPlan } from './report.ts'

const COUNT_WITHIN_MS = 5_000

async function countBroken(pool: Pool, node: EntityNode, features: readonly FeatureNode[]) {
  const counts = features.map(({ feature }) => `count(*) filter (where ${brokenSql(feature)})`)
  try {
    return await withTransaction(pool, { readOnly: true }, async (client) => {
      await client.query(`set local statement_timeout = ${COUNT_WITHIN_MS}`)
      const { rows } = await client.query<{ broken: number[] }>(
        `select array[${counts.join(', ')}]::float8[] as broken from ${quoteTable(node.featureTable)}`,
      )
      return rows[0]?.broken ?? null
    })
  } catch (error) {
    if (isCanceled(error)) return null
    throw error
  }
}

/** @param stale features that every row is computed anew for */
export async function planExpectations(
  pool: Pool,
  node: EntityNode,
  stale: readonly FeatureNode[],
): Promise<readonly ExpectationPlan[]> {
  const changed = reexpected(node, await readExpected(pool, node.entity.name))
  const settled = changed.filter((one) => !stale.includes(one))
  const broken = settled.length === 0 ? [] : await countBroken(pool, node, settled)
  return changed.map((one): ExpectationPlan => {
    const { name, expect } = one.feature
    const at = settled.indexOf(one)
    return {
      feature: name,
      otherwise: expect?.otherwise ?? null,
      isRecomputed: at < 0,
      broken: at < 0 ? null : (broken?.[at] ?? null),
    }
  })
}
