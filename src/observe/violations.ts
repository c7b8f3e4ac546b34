/**
 * Values that break what is expected of their feature, as people and alerts see them.
 *
 * Invariant: reads only. Counting ends at a bound, so that a rule that everything breaks does not make looking slow.
 */
import type { Queryable } from '../db/pool.ts'
import type { FeatureValue } from '../define/index.ts'

/** What a violation does: the value is stored all the same, the one before it stays, or the entity is put aside. */
export type ViolationEffect = 'stored' | 'held' | 'aside'

export interface ViolationCount {
  readonly entity: string
  readonly feature: string
  readonly rule: string
  readonly otherwise: string
  readonly effect: ViolationEffect
  readonly count: number
  readonly accepted: number
  /** Of the oldest that nobody has accepted; 0: all are. */
  readonly oldestSeconds: number
}

export interface OpenViolation {
  readonly entity: string
  readonly key: string
  readonly feature: string
  readonly rule: string
  readonly otherwise: string
  readonly effect: ViolationEffect
  /** As computed. */
  readonly value: FeatureValue
  readonly since: string
  readonly lastSeen: string
  readonly acceptedAt: string | null
}

const COUNTED_AT_MOST = 100_000

export async function countViolations(database: Queryable): Promise<readonly ViolationCount[]> {
  const { rows } = await database.query<ViolationCount>(
    `select entity, feature, rule, otherwise, effect, count(*)::float8 as count,
       count(accepted_at)::float8 as accepted,
       coalesce(greatest(0, extract(epoch from
         clock_timestamp() - min(since) filter (where accepted_at is null))), 0)::float8 as "oldestSeconds"
     from (select * from rescore.violation limit ${COUNTED_AT_MOST}) v group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5`,
  )
  return rows
}

const COLUMNS = `entity, key, feature, rule, otherwise, effect, value, since::text, last_seen::text as "lastSeen",
  accepted_at::text as "acceptedAt"`

/** @param features of the entity; empty: all */
export async function listViolations(
  database: Queryable,
  { entity, features, limit }: { entity: string; features: readonly string[]; limit: number },
): Promise<readonly OpenViolation[]> {
  const { rows } = await database.query<OpenViolation>(
    `select ${COLUMNS} from rescore.violation
     where entity = $1 and ($2::text[] = '{}' or feature = any($2::text[])) order by since, key, feature limit $3`,
    [entity, [...features], limit],
  )
  return rows
}

export async function violationsOf(
  database: Queryable,
  entity: string,
  key: string,
): Promise<readonly OpenViolation[]> {
  const { rows } = await database.query<OpenViolation>(
    `select ${COLUMNS} from rescore.violation where entity = $1 and key = $2 order by feature`,
    [entity, key],
  )
  return rows
}
