/**
 * What is left of features that are gone from the deployed definitions: their columns, and what is kept beside them.
 *
 * Invariants: nothing of a deployed feature is touched, and nothing while a transaction works by the definitions; a process
 * that still has the feature in its code works by none (epochs.ts), so none can write what is dropped. One thing in one
 * transaction, looked at once more under its lock: after a kill the rest is still on the list. The history stays.
 */
import { type Client, type Pool, type Queryable, quoteIdent, quoteTable } from '../db/pool.ts'
import { whileDefinitionsHeld } from './definitions-lock.ts'
import { tellValuesGone } from './drop-values.ts'

export interface Leftover {
  readonly entity: string
  /** null: no feature of the entity is deployed, and its whole table goes. */
  readonly feature: string | null
  /** The last that was deployed, and when it was removed; null for a whole table. */
  readonly version: number | null
  readonly removedAt: string
  /** Of the table; PostgreSQL's estimate of the column, null where it has none. */
  readonly bytes: number | null
}

/** What is kept of a feature beside its values, where there is such a table. */
const KEPT = ['rescore.feature_tally', 'rescore.timer', 'rescore.violation', 'rescore.null_count']

const FIND = `select r.entity, null as feature, null as version, max(r.removed_at)::text as "removedAt",
    pg_total_relation_size(to_regclass('rescore.features_' || r.entity))::float8 as bytes
  from rescore.removed_feature r
  where not exists (select from rescore.definition d where d.entity = r.entity)
  group by r.entity
  union all
  select r.entity, r.feature, r.version, r.removed_at::text,
    (select (1 - s.null_frac) * s.avg_width * greatest(c.reltuples, 0) from pg_stats s
      join pg_class c on c.oid = to_regclass('rescore.features_' || r.entity)
      where s.schemaname = 'rescore' and s.tablename = 'features_' || r.entity and s.attname = r.feature)::float8
  from rescore.removed_feature r
  where exists (select from rescore.definition d where d.entity = r.entity)
  order by 1, 2`

export async function findLeftovers(database: Queryable): Promise<readonly Leftover[]> {
  return (await database.query<Leftover>(FIND)).rows
}

async function dropColumn(client: Client, entity: string, feature: string): Promise<void> {
  const featureTable = `rescore.features_${entity}`
  const { rows } = await client.query(
    `select from pg_attribute where attrelid = to_regclass($1) and attname = $2 and not attisdropped`,
    [quoteTable(featureTable), feature],
  )
  if (rows.length === 0) return
  await tellValuesGone(client, { entity, featureTable }, feature)
  await client.query(`alter table ${quoteTable(featureTable)} drop column ${quoteIdent(feature)}`)
}

async function forget(client: Client, { entity, feature }: Leftover): Promise<void> {
  const { rows } = await client.query<{ kept: string }>(
    'select kept from unnest($1::text[]) as kept where to_regclass(kept) is not null',
    [KEPT],
  )
  for (const table of [...rows.map(({ kept }) => kept), 'rescore.removed_feature']) {
    await client.query(
      `delete from ${quoteTable(table)} where entity = $1 and ($2::text is null or feature = $2::text)`,
      [entity, feature],
    )
  }
  if (feature === null) await client.query('delete from rescore.quarantine where entity = $1', [entity])
}

/**
 * Drops it, unless its feature is deployed by now: then false.
 * @throws RescoreError FEATURE_TABLE_BUSY
 */
export function dropLeftover(pool: Pool, leftover: Leftover, signal: AbortSignal): Promise<boolean> {
  const { entity, feature } = leftover
  return whileDefinitionsHeld(
    pool,
    async (client) => {
      const still = await findLeftovers(client)
      if (!still.some((one) => one.entity === entity && one.feature === feature)) return false
      if (feature === null) await client.query(`drop table if exists ${quoteTable(`rescore.features_${entity}`)}`)
      else await dropColumn(client, entity, feature)
      await forget(client, leftover)
      return true
    },
    signal,
  )
}
