/**
 * Expectations that changed, brought to bear on what is stored.
 *
 * Invariants: in the transaction of the deployment, so rows are marked exactly once. No value is computed here and none
 * is judged: rows for which the verdict may differ (a stored value that breaks a rule by itself, a violation that is
 * open) are made stale, and the sweep computes them as any other, in bounded pieces. Values that pass are not touched,
 * and neither are features that the deployment makes stale in any case.
 */
import { type Client, type Queryable, quoteTable } from '../db/pool.ts'
import type { EntityNode, FeatureNode } from '../graph/graph.ts'
import { brokenSql } from './expect-sql.ts'
import { textArray } from './literals.ts'

/** One text for one expectation; null: nothing is expected. */
export function expectText({ feature }: FeatureNode): string | null {
  return feature.expect === null ? null : JSON.stringify(feature.expect)
}

/** Features expected otherwise than deployed. */
export function reexpected(
  { features }: EntityNode,
  deployed: ReadonlyMap<string, string | null>,
): readonly FeatureNode[] {
  return features.filter((node) => (deployed.get(node.feature.name) ?? null) !== expectText(node))
}

/** Of the features of one entity, what was expected when they were last deployed. */
export async function readExpected(database: Queryable, entity: string): Promise<ReadonlyMap<string, string | null>> {
  const { rows } = await database.query<{ feature: string; expect: string | null }>(
    'select feature, expect::text as expect from rescore.definition where entity = $1',
    [entity],
  )
  return new Map(rows.map(({ feature, expect }) => [feature, expect]))
}

async function makeRowsStale(client: Client, node: EntityNode, changed: readonly FeatureNode[]): Promise<void> {
  const entity = node.entity.name
  const names = textArray(changed.map(({ feature }) => feature.name))
  const about = `select v.key from rescore.violation v where v.entity = $1 and v.feature = any($2::text[])`
  const breaks = changed.map(({ feature }) => brokenSql(feature)).join(' or ')
  await client.query(
    `update ${quoteTable(node.featureTable)} set epoch = 0
     where epoch > 0 and (${breaks} or key::text in (${about}))`,
    [entity, names],
  )
  await client.query(`update rescore.quarantine set epoch = 0 where entity = $1 and key in (${about})`, [entity, names])
}

/** What was put aside for a feature that is gone is put aside for nothing. */
async function releaseFromRemoved(client: Client, { entity, featureTable, features }: EntityNode): Promise<void> {
  const names = textArray(features.map(({ feature }) => feature.name))
  const { rows } = await client.query<{ key: string }>(
    `update rescore.quarantine set epoch = 0 where entity = $1 and epoch > 0 and feature <> all($2::text[]) returning key`,
    [entity.name, names],
  )
  if (rows.length === 0) return
  const keys = textArray(rows.map(({ key }) => key))
  await client.query(
    `update ${quoteTable(featureTable)} set epoch = 0 where epoch > 0 and key::text = any($1::text[])`,
    [keys],
  )
}

/** @param stale bits of features that every row is computed anew for */
export async function deployExpectations(client: Client, node: EntityNode, stale: ReadonlySet<number>): Promise<void> {
  const entity = node.entity.name
  const changed = reexpected(node, await readExpected(client, entity))
  const settled = changed.filter(({ bit }) => !stale.has(bit))
  await releaseFromRemoved(client, node)
  if (settled.length > 0) await makeRowsStale(client, node, settled)
  for (const one of changed) {
    await client.query('update rescore.definition set expect = $3 where entity = $1 and feature = $2', [
      entity,
      one.feature.name,
      expectText(one),
    ])
  }
  const expecting = node.features.filter(({ feature }) => feature.expect !== null)
  await client.query('delete from rescore.violation where entity = $1 and feature <> all($2::text[])', [
    entity,
    textArray(expecting.map(({ feature }) => feature.name)),
  ])
}

export async function forgetOtherEntities(client: Client, entities: readonly string[]): Promise<void> {
  for (const table of ['violation', 'null_count']) {
    await client.query(`delete from rescore.${table} where entity <> all($1::text[])`, [textArray(entities)])
  }
}
