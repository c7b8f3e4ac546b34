/** What the yc run reads of what is stored: values, moves, counts of computing, and how late live changes were. */
import { summarise } from '../bench/statistics.ts'
import { quoteIdent } from '../src/db/pool.ts'
import type { TestDatabase } from './support/pg.ts'

/** By key, as text; the column of a removed feature stays. */
export async function storedOf({ query }: TestDatabase, feature: string): Promise<ReadonlyMap<string, unknown>> {
  const { rows } = await query<{ key: string; value: unknown }>(
    `select key::text, ${quoteIdent(feature)}::text as value from rescore.features_company`,
  )
  return new Map(rows.map(({ key, value }) => [key, value]))
}

/** Where the histories of values and of labels end. */
export interface HistoryEnd {
  readonly features: bigint
  readonly labels: bigint
}

export async function historyEnd({ query }: TestDatabase): Promise<HistoryEnd> {
  const { rows } = await query<HistoryEnd>(
    `select (select coalesce(max(id), 0) from rescore.feature_history) as features,
       (select coalesce(max(id), 0) from rescore.classification_history) as labels`,
  )
  return rows[0] ?? { features: 0n, labels: 0n }
}

interface Counted {
  readonly name: string
  readonly count: number
}

const byName = (rows: readonly Counted[]) => new Map(rows.map(({ name, count }) => [name, count]))

/** Since then: how many values of which feature moved, how many labels of which model. */
export async function movedSince({ query }: TestDatabase, from: HistoryEnd) {
  const features = await query<Counted>(
    `select c.key as name, count(*)::float8 as count from rescore.feature_history, json_each(changed) as c
     where op = 'update' and id > $1 group by 1`,
    [from.features],
  )
  const labels = await query<Counted>(
    `select model as name, count(*)::float8 as count from rescore.classification_history
     where op = 'update' and from_label <> to_label and id > $1 group by 1`,
    [from.labels],
  )
  return { features: byName(features.rows), labels: byName(labels.rows) }
}

/** How often each feature was computed, as far as the services have told: all of it once they have ended. */
export async function tallyOf({ query }: TestDatabase): Promise<ReadonlyMap<string, number>> {
  const { rows } = await query<Counted>('select feature as name, computed::float8 as count from rescore.feature_tally')
  return byName(rows)
}

/** Milliseconds from the commit of a source change to what it moved, calm and beside a backfill. */
export class LiveLatency {
  readonly #database: TestDatabase
  readonly #values = { calm: [] as number[], during: [] as number[] }
  readonly #labels = { calm: [] as number[], during: [] as number[] }

  constructor(database: TestDatabase) {
    this.#database = database
  }

  /** Of what has moved since, because of changes: what a backfill has moved has no cause. */
  async add(kind: 'calm' | 'during', from: HistoryEnd, sinceMs: number): Promise<void> {
    const { query } = this.#database
    const values = await query<{ ms: number }>(
      `select extract(epoch from recorded_at - valid_at)::float8 * 1000 as ms from rescore.feature_history
       where id > $1 and cause_count > 0 and valid_at >= to_timestamp($2)`,
      [from.features, sinceMs / 1_000],
    )
    const labels = await query<{ ms: number }>(
      `select extract(epoch from scored_at - source_at)::float8 * 1000 as ms from rescore.classification_history
       where id > $1 and source_at >= to_timestamp($2)`,
      [from.labels, sinceMs / 1_000],
    )
    this.#values[kind].push(...values.rows.map(({ ms }) => ms))
    this.#labels[kind].push(...labels.rows.map(({ ms }) => ms))
  }

  figures() {
    const { calm, during } = this.#values
    const of = (samples: readonly number[]) => (samples.length === 0 ? null : summarise(samples))
    return {
      commitToFeatureMs: { calm: of(calm), during: of(during) },
      commitToLabelMs: { calm: of(this.#labels.calm), during: of(this.#labels.during) },
    }
  }
}
