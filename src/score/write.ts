/**
 * Writes classifications and their history.
 *
 * Invariants: guarded by snapshot, so that a classification from a newer snapshot is never overwritten, and what the
 * guard refuses has no history; in key order, so that two writers cannot deadlock; all in the caller's transaction.
 */
import { formatLsn } from '../db/lsn.ts'
import { isPlanted } from '../faults.ts'
import type { ApplyContext } from '../log/stage.ts'
import type { Classification } from './label.ts'
import type { LoadedModel } from './registry.ts'
import type { FeatureRow, Stored } from './standing.ts'

export interface Outcome {
  readonly key: string
  readonly features: FeatureRow
  readonly fingerprint: string
  readonly stored: Stored | null
  /** The stored one when nothing but its provenance moves. */
  readonly classification: Classification
}

/** Whether people would see a difference: such an outcome has history and is told of. */
export function isDifferent({ classification, stored }: Outcome): boolean {
  return classification !== stored
}

/**
 * Classifications and, of those that people would see differ, their history, in one statement: what is sent is sent once.
 * `key = any` would compare each with each, and `in` might be planned as such; a coalesced `in` is looked up in a hash.
 */
const SAVE = (guard: string) => `with given as (
    select * from unnest($6::text[], $7::text[], $8::double precision[], $9::text[], $10::text[], $11::pg_lsn[],
      $12::timestamptz[], $13::text[], $14::double precision[], $15::boolean[])
    as u (key, label, probability, probabilities, fingerprint, features_lsn, source_at, from_label, from_probability,
      is_different)),
  saved as (
    insert into rescore.classification as t
      (model, entity, model_version, artifact_hash, snap_lsn,
       key, label, probability, probabilities, fingerprint, features_lsn, source_at)
    select $1, $2, $3, $4, $5::pg_lsn,
      g.key, g.label, g.probability, g.probabilities::double precision[], g.fingerprint, g.features_lsn, g.source_at
    from given g order by g.key
    on conflict (key, model) do update set
      entity = excluded.entity, label = excluded.label, probability = excluded.probability,
      probabilities = excluded.probabilities, model_version = excluded.model_version,
      artifact_hash = excluded.artifact_hash, fingerprint = excluded.fingerprint,
      features_lsn = excluded.features_lsn, snap_lsn = excluded.snap_lsn, source_at = excluded.source_at,
      scored_at = clock_timestamp()
    ${guard}
    returning t.key),
  remembered as (
    insert into rescore.classification_history
      (model, entity, model_version, artifact_hash,
       key, op, from_label, from_probability, to_label, to_probability, features_lsn, source_at)
    select $1, $2, $3, $4,
      g.key, case when g.from_label is null then 'insert' else 'update' end,
      g.from_label, g.from_probability, g.label, g.probability, g.features_lsn, g.source_at
    from given g where g.is_different and coalesce(g.key in (select key from saved), false) order by g.key)
  select key from saved`

/** The deletion stands under the step of the feature history in which the entity went. */
const REMOVE = `with gone as (
    delete from rescore.classification where model = $1 and key = any($3::text[]) and snap_lsn <= $4::pg_lsn
    returning key, label, probability, model_version, artifact_hash),
  remembered as (
    insert into rescore.classification_history
      (model, entity, key, op, from_label, from_probability, model_version, artifact_hash, features_lsn)
    select $1, $2, g.key, 'delete', g.label, g.probability, g.model_version, g.artifact_hash,
      coalesce((select h.snap_lsn from rescore.feature_history h
                where h.entity = $2 and h.key = g.key and h.op = 'delete' order by h.id desc limit 1), $4::pg_lsn)
    from gone g order by g.key)
  select key from gone`

/** Returns the outcomes that are in the table now, without those the guard refused. */
export async function saveOutcomes(
  context: Pick<ApplyContext, 'client' | 'snapshotLsn'>,
  loaded: LoadedModel,
  outcomes: readonly Outcome[],
): Promise<readonly Outcome[]> {
  if (outcomes.length === 0) return []
  const { model, version, artifactHash } = loaded
  const of = [model.name, model.entity.name, version, artifactHash]
  const isGuarded = !isPlanted('no-version-guard')
  const { rows } = await context.client.query<{ key: string }>({
    name: `rescore-classify${isGuarded ? '' : '-unguarded'}`,
    text: SAVE(isGuarded ? 'where t.snap_lsn <= excluded.snap_lsn' : ''),
    values: [
      ...of,
      formatLsn(context.snapshotLsn),
      outcomes.map(({ key }) => key),
      outcomes.map(({ classification }) => classification.label),
      outcomes.map(({ classification }) => classification.probability),
      outcomes.map(({ classification }) => `{${classification.probabilities.join(',')}}`),
      outcomes.map(({ fingerprint }) => fingerprint),
      outcomes.map(({ features }) => features.snapLsn),
      outcomes.map(({ features }) => features.sourceAt),
      outcomes.map(({ stored }) => stored?.label ?? null),
      outcomes.map(({ stored }) => stored?.probability ?? null),
      outcomes.map(isDifferent),
    ],
  })
  if (rows.length === outcomes.length) return outcomes
  const keys = new Set(rows.map(({ key }) => key))
  return outcomes.filter(({ key }) => keys.has(key))
}

/** Deletes classifications whose feature row is gone; returns how many. */
export async function removeOrphans(
  context: Pick<ApplyContext, 'client' | 'snapshotLsn'>,
  { model }: LoadedModel,
  keys: readonly string[],
): Promise<number> {
  if (keys.length === 0) return 0
  const { rows } = await context.client.query<{ key: string }>({
    name: 'rescore-declassify',
    text: REMOVE,
    values: [model.name, model.entity.name, keys, formatLsn(context.snapshotLsn)],
  })
  return rows.length
}
