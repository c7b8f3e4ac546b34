/**
 * The past of one entity: what moved, and what was known at a point in time.
 * Invariant: what is said of a time is what the fold makes of the rows; nothing is read from tables of the present.
 */
import type { Pool, Queryable } from '../db/pool.ts'
import type { FeatureValue } from '../define/index.ts'
import { RescoreError } from '../errors.ts'
import { Known } from './fold.ts'
import { formatInstant, type Instant, instantSql } from './instant.ts'
import { readSteps } from './read.ts'

type Labelled = { readonly label: string; readonly probability: number }

export type Moved =
  | {
      readonly kind: 'features'
      readonly op: 'insert' | 'update' | 'delete'
      readonly validAt: string
      readonly recordedAt: string
      readonly moves: readonly { readonly feature: string; readonly from: FeatureValue; readonly to: FeatureValue }[]
      /** Features whose time had come, where that is what moved them, and the instants. */
      readonly times: readonly { readonly feature: string; readonly at: string }[]
    }
  | {
      readonly kind: 'classification'
      readonly op: 'insert' | 'update' | 'delete'
      readonly validAt: string
      readonly recordedAt: string
      readonly model: string
      readonly modelVersion: string
      readonly from: Labelled | null
      readonly to: Labelled | null
    }

export interface KnownThen {
  readonly entity: string
  readonly key: string
  readonly at: string
  readonly exists: boolean
  /** Rows of its history were deleted: values that never moved since are missing. */
  readonly isCut: boolean
  readonly features: Readonly<Record<string, { value: FeatureValue; validAt: string; recordedAt: string }>>
  readonly classifications: readonly (Labelled & { model: string; modelVersion: string; scoredAt: string })[]
}

type Changed = Readonly<Record<string, { readonly from?: FeatureValue; readonly to: FeatureValue }>>

interface MovedRow {
  readonly op: Moved['op']
  readonly valid_at: bigint
  readonly recorded_at: bigint
}
interface FeatureRow extends MovedRow {
  readonly changed: Changed | null
  readonly times: readonly { readonly feature: string; readonly atMs: number }[]
}
interface ScoreRow extends MovedRow {
  readonly model: string
  readonly model_version: string
  readonly from_label: string | null
  readonly from_probability: number | null
  readonly to_label: string | null
  readonly to_probability: number | null
}

const labelled = (label: string | null, probability: number | null): Labelled | null =>
  label === null || probability === null ? null : { label, probability }

const times = ({ valid_at, recorded_at }: MovedRow) => ({
  validAt: formatInstant(valid_at),
  recordedAt: formatInstant(recorded_at),
})

const FEATURES = `select op, changed, ${instantSql('valid_at')} as valid_at, ${instantSql('recorded_at')} as recorded_at,
    array(select c from json_array_elements(causes) c where c->>'op' = 'time') as times
  from rescore.feature_history where entity = $1 and key = $2 order by id desc limit $3`
const SCORES = `select op, model, model_version, from_label, from_probability, to_label, to_probability,
    ${instantSql('coalesce(source_at, scored_at)')} as valid_at, ${instantSql('scored_at')} as recorded_at
  from rescore.classification_history where entity = $1 and key = $2 order by id desc limit $3`

function unknown(entity: string, key: string): RescoreError {
  return new RescoreError({
    code: 'CLI_UNKNOWN_ENTITY',
    fate: 'stop',
    message: `The history knows nothing of ${entity} '${key}'.`,
    mend: `Check the key; \`select key from rescore.features_${entity} limit 5\` shows some.`,
  })
}

/**
 * The last `limit` moves of features and classifications, newest recorded first.
 * @throws RescoreError CLI_UNKNOWN_ENTITY
 */
export async function readMoves(
  db: Queryable,
  { entity, key, limit }: { readonly entity: string; readonly key: string; readonly limit: number },
): Promise<readonly Moved[]> {
  const features = await db.query<FeatureRow>(FEATURES, [entity, key, limit])
  const scores = await db.query<ScoreRow>(SCORES, [entity, key, limit])
  if (features.rows.length === 0 && scores.rows.length === 0) throw unknown(entity, key)
  const told = features.rows.map((row) => ({
    recorded: row.recorded_at,
    moved: {
      kind: 'features',
      op: row.op,
      ...times(row),
      times: row.times.map(({ feature, atMs }) => ({ feature, at: formatInstant(BigInt(Math.round(atMs * 1_000))) })),
      moves: Object.entries(row.changed ?? {}).map(([feature, { from = null, to }]) => ({ feature, from, to })),
    } satisfies Moved,
  }))
  const scored = scores.rows.map((row) => ({
    recorded: row.recorded_at,
    moved: {
      kind: 'classification',
      op: row.op,
      ...times(row),
      model: row.model,
      modelVersion: row.model_version,
      from: labelled(row.from_label, row.from_probability),
      to: labelled(row.to_label, row.to_probability),
    } satisfies Moved,
  }))
  // Stable: of moves recorded in the same microsecond the score stands above the features it was made from.
  const all: readonly { readonly recorded: bigint; readonly moved: Moved }[] = [...scored, ...told]
  return all
    .toSorted((a, b) => (a.recorded < b.recorded ? 1 : a.recorded > b.recorded ? -1 : 0))
    .slice(0, limit)
    .map(({ moved }) => moved)
}

/** Each model's last word that was valid and recorded by then; what had been withdrawn is none. */
async function classificationsAt(db: Queryable, entity: string, key: string, at: Instant) {
  const { rows } = await db.query<ScoreRow>(
    `select distinct on (model) op, model, model_version, to_label, to_probability,
       ${instantSql('coalesce(source_at, scored_at)')} as valid_at, ${instantSql('scored_at')} as recorded_at
     from rescore.classification_history
     where entity = $1 and key = $2 and greatest(source_at, scored_at) <= $3::timestamptz order by model, id desc`,
    [entity, key, formatInstant(at)],
  )
  return rows.flatMap((row) => {
    const to = labelled(row.to_label, row.to_probability)
    if (to === null) return []
    return [{ model: row.model, modelVersion: row.model_version, ...to, scoredAt: formatInstant(row.recorded_at) }]
  })
}

/**
 * The entity as it was known at `at`, not a microsecond later.
 * @throws RescoreError CLI_UNKNOWN_ENTITY when there is no history of it at all
 */
export async function readKnown(pool: Pool, entity: string, key: string, at: Instant): Promise<KnownThen> {
  const known = new Known(at)
  await readSteps(pool, { entity, keys: [key], until: at }, (step) => known.add(step))
  if (known.recordedAt === null) await readMoves(pool, { entity, key, limit: 1 })
  const features = [...known.values]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([feature, { value, validAt, recordedAt }]) => [
      feature,
      { value, validAt: formatInstant(validAt), recordedAt: formatInstant(recordedAt) },
    ])
  return {
    entity,
    key,
    at: formatInstant(at),
    exists: known.exists,
    isCut: known.isCut,
    features: Object.fromEntries(features),
    classifications: await classificationsAt(pool, entity, key, at),
  }
}
