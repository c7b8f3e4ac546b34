/**
 * The past of one entity: what moved, and what was known at a point in time.
 * Invariant: what is said of a time is what the fold makes of the rows; nothing is read from tables of the present.
 */
import type { Pool, Queryable } from '../db/pool.ts'
import type { FeatureValue } from '../define/index.ts'
import { RescoreError } from '../errors.ts'
import type { Cause } from '../log/stage.ts'
import { type BaseStep, stepsOf } from './base.ts'
import { type FeatureStep, Known } from './fold.ts'
import { formatInstant, type Instant, instantSql } from './instant.ts'
import { assertKept, readKeptFrom } from './kept.ts'
import { readSteps } from './read.ts'

/** `base`: kept of rows older than the rule, because it still held when the past begins. */
type Operation = 'insert' | 'update' | 'delete' | 'base'
type Labelled = { readonly label: string; readonly probability: number }

export type Moved =
  | {
      readonly kind: 'features'
      readonly op: Operation
      readonly validAt: string
      readonly recordedAt: string
      readonly moves: readonly { readonly feature: string; readonly from: FeatureValue; readonly to: FeatureValue }[]
      /** Those that were kept of them. */
      readonly causes: readonly Cause[]
      readonly causesLeftOut: number
    }
  | {
      readonly kind: 'classification'
      readonly op: Operation
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
  /** The first instant that can be asked for; null: any. */
  readonly keptFrom: string | null
  readonly features: Readonly<Record<string, { value: FeatureValue; validAt: string; recordedAt: string }>>
  readonly classifications: readonly (Labelled & { model: string; modelVersion: string; scoredAt: string })[]
}

type Changed = Readonly<Record<string, { readonly from?: FeatureValue; readonly to: FeatureValue }>>
type ChangedThen = readonly (readonly [feature: string, Changed[string]])[]

interface MovedRow {
  readonly op: Moved['op']
  readonly valid_at: bigint
  readonly recorded_at: bigint
}
interface FeatureRow extends MovedRow {
  readonly changed: Changed | null
  /** Of a base. */
  readonly steps: readonly BaseStep[] | null
  readonly causes: readonly Cause[]
  readonly cause_count: number
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

const FEATURES = `select op, changed, steps, causes, cause_count, ${instantSql('valid_at')} as valid_at,
    ${instantSql('recorded_at')} as recorded_at
  from rescore.feature_past where entity = $1 and key = $2 order by id desc limit $3`
const SCORES = `select op, model, model_version, from_label, from_probability, to_label, to_probability,
    ${instantSql('coalesce(source_at, scored_at)')} as valid_at, ${instantSql('scored_at')} as recorded_at
  from rescore.classification_past where entity = $1 and key = $2 order by id desc limit $3`

function unknown(entity: string, key: string): RescoreError {
  return new RescoreError({
    code: 'CLI_UNKNOWN_ENTITY',
    fate: 'stop',
    message: `The history knows nothing of ${entity} '${key}'.`,
    mend: `Check the key; \`select key from rescore.features_${entity} limit 5\` shows some.`,
  })
}

function movesOf(changed: ChangedThen) {
  return changed.map(([feature, { from = null, to }]) => ({ feature, from, to }))
}

/** A base tells of several times, newest first. */
function movedFeatures(row: FeatureRow): readonly { readonly recorded: bigint; readonly moved: Moved }[] {
  const { op, steps, changed, causes, cause_count, recorded_at: recorded } = row
  const kind = 'features'
  const because = { causes, causesLeftOut: Math.max(0, cause_count - causes.length) }
  if (steps === null)
    return [{ recorded, moved: { kind, op, ...times(row), moves: movesOf(Object.entries(changed ?? {})), ...because } }]
  const told = ({ validAt, recordedAt, changed: then }: FeatureStep) => ({
    recorded: recordedAt,
    moved: {
      kind,
      op,
      validAt: formatInstant(validAt),
      recordedAt: formatInstant(recordedAt),
      moves: movesOf(Object.entries(then ?? {})),
      ...because,
    } as const,
  })
  return stepsOf(steps).map(told).toReversed()
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
  const told = features.rows.flatMap(movedFeatures)
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
     from rescore.classification_past
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
 * @throws RescoreError CLI_UNKNOWN_ENTITY when there is no history of it at all, HISTORY_NOT_KEPT before its past begins
 */
export async function readKnown(pool: Pool, entity: string, key: string, at: Instant): Promise<KnownThen> {
  const known = new Known(at)
  await readSteps(pool, { entity, keys: [key], until: at }, (step) => known.add(step))
  const classifications = await classificationsAt(pool, entity, key, at)
  await assertKept(pool, entity, at)
  if (known.recordedAt === null) await readMoves(pool, { entity, key, limit: 1 })
  const keptFrom = await readKeptFrom(pool, entity)
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
    keptFrom: keptFrom === null ? null : formatInstant(keptFrom),
    features: Object.fromEntries(features),
    classifications,
  }
}
