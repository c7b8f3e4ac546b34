/**
 * Lets values through that break a rule of their feature, because somebody has looked at them.
 *
 * Invariants: what is accepted is the value that was held back then, never one that comes later; it is marked and the
 * backfill that computes its entities again is made in one transaction, so a crash leaves either both or nothing.
 */
import type { Pool } from '../db/pool.ts'
import { withTransaction } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import type { EntityNode } from '../graph/graph.ts'
import { BACKFILL_COLUMNS, type Backfill } from './job.ts'

const PER_CHUNK = 500

export interface Accepted {
  readonly count: number
  readonly backfill: Backfill
}

/**
 * @param keys null: all that break a rule of the feature now
 * @throws RescoreError FEATURE_NOTHING_HELD; then nothing is changed
 */
export async function acceptValues(
  pool: Pool,
  { entity }: EntityNode,
  feature: string,
  keys: readonly string[] | null,
): Promise<Accepted> {
  return withTransaction(pool, {}, async (client) => {
    const { rows } = await client.query<{ key: string }>(
      `update rescore.violation set accepted_at = clock_timestamp()
       where entity = $1 and feature = $2 and accepted_at is null and effect <> 'stored'
         and ($3::text[] is null or key = any($3::text[])) returning key`,
      [entity.name, feature, keys === null ? null : [...keys]],
    )
    if (rows.length === 0) {
      throw new RescoreError({
        code: 'FEATURE_NOTHING_HELD',
        fate: 'stop',
        message: `No value of ${entity.name}.${feature} is held back${keys === null ? '' : ' for these keys'}.`,
        mend: `See what is: rescore expectations ${entity.name}.${feature}`,
      })
    }
    const made = await client.query<Backfill>(
      `insert into rescore.backfill (entity, features, policy, reason, state, is_cut, total, is_total_exact, started_at)
       values ($1, array[$2::text], 'all', 'asked', 'running', true, $3, true, clock_timestamp())
       returning ${BACKFILL_COLUMNS}`,
      [entity.name, feature, rows.length],
    )
    const [backfill] = made.rows
    if (backfill === undefined) throw new TypeError('The backfill was stored and is not there.')
    await client.query(
      `insert into rescore.backfill_chunk (backfill, seq, keys)
       select $1, (place - 1) / ${PER_CHUNK}, array_agg(key order by place)
       from unnest($2::text[]) with ordinality as u(key, place) group by 2`,
      [backfill.id, rows.map(({ key }) => key)],
    )
    return { count: rows.length, backfill }
  })
}
