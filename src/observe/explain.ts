/**
 * Why an entity is classified as it is: from source change to features to score, back through history.
 *
 * Invariant: reads only what the stages wrote with their effects; a score is tied to the feature row it was made from
 * by that row's position, never by a guess from times.
 */
import type { Queryable } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import type { BaseStep } from '../history/base.ts'
import type { Cause, FeatureMove } from '../log/stage.ts'
import { readSilenced, type SilencedRow } from './silenced.ts'
import { type OpenViolation, violationsOf } from './violations.ts'

export interface ExplainedScore {
  readonly model: string
  readonly modelVersion: string
  readonly op: 'insert' | 'update' | 'delete' | 'base'
  readonly from: { readonly label: string; readonly probability: number } | null
  readonly to: { readonly label: string; readonly probability: number } | null
  readonly scoredAt: string
}

export interface ExplainedStep {
  /** When the values became valid; PostgreSQL's text form, UTC. */
  readonly at: string
  /** `base`: kept of older steps, without their causes, because it still held when the past begins. */
  readonly op: 'insert' | 'update' | 'delete' | 'base'
  readonly causes: readonly Cause[]
  /** Causes beyond those kept. */
  readonly causesLeftOut: number
  readonly moves: readonly FeatureMove[]
  readonly scores: readonly ExplainedScore[]
}

export interface Explanation {
  readonly entity: string
  readonly key: string
  readonly now: readonly {
    readonly model: string
    readonly modelVersion: string
    readonly label: string
    readonly probability: number
    readonly scoredAt: string
  }[]
  /** Set while the entity cannot be computed; what is shown is then the last that could be. */
  readonly quarantined: {
    readonly feature: string
    readonly code: string
    readonly reason: string
    readonly since: string
  } | null
  /** Set while the values were computed by a silent backfill and no model has scored them since. */
  readonly silenced: SilencedRow | null
  /** Features whose last computed value is not as expected; what became of it. */
  readonly violations: readonly OpenViolation[]
  /** Newest first. */
  readonly steps: readonly ExplainedStep[]
}

/** An insert says no `from`: everything moves from nothing. */
type Moves = Readonly<Record<string, { readonly from?: FeatureMove['from']; readonly to: FeatureMove['to'] }>>

interface ScoreRow {
  readonly model: string
  readonly model_version: string
  readonly op: ExplainedScore['op']
  readonly from_label: string | null
  readonly from_probability: number | null
  readonly to_label: string | null
  readonly to_probability: number | null
  readonly scored_at: string
  readonly features_lsn: string
}

interface FeatureRow {
  readonly op: ExplainedStep['op']
  readonly changed: Moves | null
  readonly steps: readonly BaseStep[] | null
  readonly causes: readonly Cause[] | null
  readonly cause_count: number
  readonly valid_at: string
  readonly snap_lsn: string
}

function labelled(label: string | null, probability: number | null) {
  return label === null || probability === null ? null : { label, probability }
}

function score(row: ScoreRow): ExplainedScore {
  return {
    model: row.model,
    modelVersion: row.model_version,
    op: row.op,
    from: labelled(row.from_label, row.from_probability),
    to: labelled(row.to_label, row.to_probability),
    scoredAt: row.scored_at,
  }
}

/** As PostgreSQL prints it in UTC. */
const asPrinted = (instant: string) => instant.replace('T', ' ').replace(/\.?0*Z$/, '+00')

/** A base tells of several times; scores stand under the newest. */
function baseSteps(base: readonly BaseStep[], scores: readonly ExplainedScore[]): readonly ExplainedStep[] {
  return base.map(({ valid_at, values }, index) => ({
    at: asPrinted(valid_at),
    op: 'base',
    causes: [],
    causesLeftOut: 0,
    moves: Object.entries(values).map(([feature, to]) => ({ feature, from: null, to })),
    scores: index === base.length - 1 ? scores : [],
  }))
}

/** Puts each score under the feature row it was made from; what has none (a new model version) stands alone. */
function steps(features: readonly FeatureRow[], scores: readonly ScoreRow[]): ExplainedStep[] {
  const bySource = Map.groupBy(scores, (row) => row.features_lsn)
  const fromFeatures = features.flatMap((row): readonly ExplainedStep[] => {
    const made = bySource.get(row.snap_lsn) ?? []
    bySource.delete(row.snap_lsn)
    if (row.steps !== null) return baseSteps(row.steps, made.map(score))
    const causes = row.causes ?? []
    const step = {
      at: row.valid_at,
      op: row.op,
      causes,
      causesLeftOut: Math.max(0, row.cause_count - causes.length),
      moves: Object.entries(row.changed ?? {}).map(([feature, { from = null, to }]) => ({ feature, from, to })),
      scores: made.map(score),
    }
    return [step]
  })
  const alone = [...bySource.values()].flat().map(
    (row): ExplainedStep => ({
      at: row.scored_at,
      op: row.op,
      causes: [],
      causesLeftOut: 0,
      moves: [],
      scores: [score(row)],
    }),
  )
  return [...fromFeatures, ...alone].sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0))
}

/** @throws RescoreError CLI_UNKNOWN_ENTITY when nothing was ever derived for the key */
export async function explain(
  db: Queryable,
  options: { readonly entity: string; readonly key: string; readonly limit: number },
): Promise<Explanation> {
  const { entity, key, limit } = options
  const now = await db.query<{
    model: string
    model_version: string
    label: string
    probability: number
    scored_at: string
  }>(
    `select model, model_version, label, probability, scored_at::text from rescore.classification
     where entity = $1 and key = $2 order by model`,
    [entity, key],
  )
  const features = await db.query<FeatureRow>(
    `select op, changed, steps, causes, cause_count, valid_at::text, snap_lsn::text from rescore.feature_past
     where entity = $1 and key = $2 order by id desc limit $3`,
    [entity, key, limit],
  )
  const scores = await db.query<ScoreRow>(
    `select model, model_version, op, from_label, from_probability, to_label, to_probability, scored_at::text,
            features_lsn::text from rescore.classification_past
     where entity = $1 and key = $2 order by id desc limit $3`,
    [entity, key, limit * 8],
  )
  const aside = await db.query<{ feature: string; code: string; reason: string; since: string }>(
    'select feature, code, reason, since::text from rescore.quarantine where entity = $1 and key = $2',
    [entity, key],
  )
  const violations = await violationsOf(db, entity, key)
  const chain = steps(features.rows, scores.rows)
  if (chain.length === 0 && now.rows.length === 0 && aside.rows.length === 0) {
    throw new RescoreError({
      code: 'CLI_UNKNOWN_ENTITY',
      fate: 'stop',
      message: `Nothing is known of ${entity} '${key}'.`,
      mend: `Check the key; \`select key from rescore.features_${entity} limit 5\` shows some. A new row: rescore wait --until-reflected`,
    })
  }
  return {
    entity,
    key,
    now: now.rows.map((row) => ({
      model: row.model,
      modelVersion: row.model_version,
      label: row.label,
      probability: row.probability,
      scoredAt: row.scored_at,
    })),
    quarantined: aside.rows[0] ?? null,
    silenced: await readSilenced(db, entity, key),
    violations,
    steps: chain.slice(0, limit),
  }
}
