/**
 * Entities whose values were computed without being scored: of one entity, and how many there are.
 *
 * Invariant: silence is over when a classification is as new as the feature row, whatever mark the row still carries.
 * Counts are of marks alone, so that they cost little: those of jobs that ended before a model was deployed are left
 * out, because that model has scored them.
 */
import { type Client, type Queryable, quoteTable } from '../db/pool.ts'
import { SILENCED_BY } from '../graph/silenced.ts'

export interface Silenced {
  readonly entity: string
  readonly backfill: bigint
  readonly count: number
}

/** Those of the entities deployed whose table knows the mark. */
const TABLES = `select distinct d.entity from rescore.definition d
  join pg_attribute a on a.attrelid = to_regclass('rescore.features_' || d.entity) and a.attname = '${SILENCED_BY}'
  where exists (select from rescore.model_definition m where m.entity = d.entity) order by 1`

const featureTable = (entity: string) => quoteTable(`rescore.features_${entity}`)

const COUNT = (entity: string) => `select f.${SILENCED_BY} as backfill, count(*)::float8 as count
  from ${featureTable(entity)} f left join rescore.backfill b on b.id = f.${SILENCED_BY}
  where f.${SILENCED_BY} is not null and exists (
    select from rescore.model_definition m
    where m.entity = $1 and m.deployed_at <= coalesce(b.ended_at, 'infinity'))
  group by 1 order by 1`

export async function countSilenced(client: Client): Promise<readonly Silenced[]> {
  const { rows } = await client.query<{ entity: string }>(TABLES)
  const found: Silenced[] = []
  for (const { entity } of rows) {
    const counted = await client.query<{ backfill: bigint; count: number }>(COUNT(entity), [entity])
    for (const row of counted.rows) found.push({ entity, ...row })
  }
  return found
}

export interface SilencedRow {
  readonly backfill: bigint
  readonly at: string
}

/** Null where the entity has been scored since, or no model reads it. */
export async function readSilenced(database: Queryable, entity: string, key: string): Promise<SilencedRow | null> {
  const tables = await database.query<{ entity: string }>(TABLES)
  if (tables.rows.every((row) => row.entity !== entity)) return null
  const { rows } = await database.query<SilencedRow>(
    `select f.${SILENCED_BY} as backfill, f.computed_at::text as at from ${featureTable(entity)} f
     where f.key::text = $2 and f.${SILENCED_BY} is not null and exists (
       select from rescore.model_definition m where m.entity = $1 and not exists (
         select from rescore.classification c
         where c.model = m.model and c.key = $2 and c.features_lsn >= f.snap_lsn))`,
    [entity, key],
  )
  return rows[0] ?? null
}
