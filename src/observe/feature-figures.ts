/**
 * Figures of every deployed feature: how old what its values do not reflect yet may be, how many are null, and how much
 * of computing it was for nothing.
 *
 * Invariant: from the database alone, so whoever asks needs no project; cheap enough to be asked every few seconds.
 */
import type { Pool } from '../db/pool.ts'
import { type ColumnFigures, readColumns } from './columns.ts'

export interface FeatureFigures {
  readonly entity: string
  readonly feature: string
  readonly version: number
  /** Of the code it was deployed with, and of other code that somebody has said to give the same values. */
  readonly hash: string
  readonly equivalent: readonly string[]
  /** The backfill that its stale values wait for. */
  readonly backfill: bigint | null
  /** Stored rows; null: they took too long to count. */
  readonly rows: number | null
  /** Of them, computed under its present definition, and still to be; those of entities put aside are neither. */
  readonly fresh: number | null
  readonly stale: number | null
  /** false: the three above, of a large table, are estimates from a sample. */
  readonly isExact: boolean
  /** Entities put aside. */
  readonly aside: number | null
  /**
   * Age of the oldest thing that its values do not reflect yet, in seconds: a change that waits, or the definition that
   * rows are still to be computed under. null: nobody runs that could say.
   */
  readonly freshnessSeconds: number | null
  /** Share of stored values that are null, 0 to 1. */
  readonly nullRate: number | null
  readonly isNullRateExact: boolean
  readonly computed: number
  readonly moved: number
}

interface DefinitionRow {
  readonly entity: string
  readonly feature: string
  readonly version: number
  readonly hash: string
  readonly equivalent: readonly string[]
  readonly changed_in_epoch: number
  readonly backfill: bigint | null
  readonly age: number
  readonly computed: number
  readonly moved: number
  readonly rows: number | null
  readonly nulls: number | null
}

const DEFINITIONS = `select d.entity, d.feature, d.version, d.changed_in_epoch, d.backfill, d.hash,
    array(select e.hash from rescore.equivalent e
      where (e.entity, e.feature, e.version) = (d.entity, d.feature, d.version)) as equivalent,
    greatest(0, extract(epoch from clock_timestamp() - d.deployed_at))::float8 as age,
    coalesce(t.computed, 0)::float8 as computed, coalesce(t.moved, 0)::float8 as moved, n.rows, n.nulls
  from rescore.definition d left join rescore.feature_tally t using (entity, feature)
  left join (select entity, feature, sum(rows)::float8 as rows, sum(nulls)::float8 as nulls
    from rescore.null_count group by 1, 2) n using (entity, feature)
  order by d.entity, d.feature`

const LAG = `select max(lag_seconds) as lag from rescore.stage_status
  where stage = 'recompute' and updated_at > now() - interval '35 s'`

function freshnessOf(row: DefinitionRow, columns: ColumnFigures | null, lag: number | null): number | null {
  if (lag === null) return null
  return columns?.isOutdated.get(row.feature) === true ? Math.max(lag, row.age) : lag
}

function figuresOf(row: DefinitionRow, columns: ColumnFigures | null, lag: number | null): FeatureFigures {
  const { entity, feature, version, hash, equivalent, backfill, computed, moved } = row
  const counted = row.rows === null || row.nulls === null || row.rows === 0 ? null : row.nulls / row.rows
  return {
    entity,
    feature,
    version,
    hash,
    equivalent,
    backfill,
    rows: columns?.rows ?? null,
    fresh: columns?.fresh.get(feature) ?? null,
    stale: columns?.stale.get(feature) ?? null,
    isExact: columns?.isExact ?? false,
    aside: columns?.aside ?? null,
    freshnessSeconds: freshnessOf(row, columns, lag),
    nullRate: counted ?? columns?.nullRate.get(feature) ?? null,
    isNullRateExact: counted !== null || columns?.isExact === true,
    computed,
    moved,
  }
}

const COUNT_WITHIN_MS = 5_000

/** @param countWithinMs for each statement that counts rows; what takes longer is null */
export async function readFeatureFigures(
  pool: Pool,
  countWithinMs = COUNT_WITHIN_MS,
): Promise<readonly FeatureFigures[]> {
  const { rows } = await pool.query<DefinitionRow>(DEFINITIONS)
  const answer = await pool.query<{ lag: number | null }>(LAG)
  const lag = answer.rows[0]?.lag ?? null
  const figures: FeatureFigures[] = []
  for (const [entity, theirs] of Map.groupBy(rows, (row) => row.entity)) {
    const stored = theirs.map((row) => ({ feature: row.feature, changedIn: row.changed_in_epoch }))
    const columns = await readColumns(pool, entity, stored, countWithinMs)
    figures.push(...theirs.map((row) => figuresOf(row, columns, lag)))
  }
  return figures
}
