/**
 * Definitions that changed for more rows than a deployment may recompute unasked: a backfill that waits for approval.
 *
 * Invariant: in the transaction of the deployment, so stale values belong either to the sweep or to exactly one backfill
 * that has not ended; one that was planned before is taken over with what it was to do.
 */
import { type Client, quoteTable } from '../db/pool.ts'
import type { EntityNode, FeatureNode } from '../graph/graph.ts'
import { textArray } from './literals.ts'

const TAKE_OVER = `with before as (
    select distinct backfill from rescore.definition where entity = $1 and backfill is not null)
  update rescore.backfill set state = 'cancelled', ended_at = clock_timestamp()
  where id in (select backfill from before) and state not in ('done', 'cancelled')`

const PLAN = `with planned as (
    insert into rescore.backfill (entity, features, policy, reason, state, total, is_total_exact)
    select $1, array(select feature from rescore.definition
        where entity = $1 and (feature = any($2::text[]) or backfill is not null) order by feature),
      'stale', 'deployed', 'planned', $3, true
    returning id, features)
  update rescore.definition d set backfill = planned.id from planned
  where d.entity = $1 and d.feature = any(planned.features)`

/** @param stale features whose stored values the deployment has made stale */
export async function planBackfill(
  client: Client,
  { entity }: EntityNode,
  stale: readonly FeatureNode[],
  approveAbove: number,
): Promise<void> {
  if (stale.length === 0) return
  const { rows } = await client.query<{ count: number }>(
    `select count(*)::float8 as count from ${quoteTable(entity.table.id)}`,
  )
  const count = rows[0]?.count ?? 0
  if (count <= approveAbove) return
  await client.query(TAKE_OVER, [entity.name])
  await client.query(PLAN, [entity.name, textArray(stale.map(({ feature }) => feature.name)), count])
}
