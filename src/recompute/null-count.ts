/**
 * How many of a feature's stored values are null, of features that may be so only up to a share.
 *
 * Invariants: rescore.null_count adds up to the feature table in every snapshot, because what changes the one changes the
 * other in the same transaction; counted anew from the table when definitions are deployed, which mends what else touched
 * it. Whoever lets a new null through holds the lock of the entity until its commit, so that no two workers give away
 * the same room; everybody else only adds a line and waits for nobody.
 */
import { NULLS_LOCK_CLASS } from '../db/locks.ts'
import { type Client, quoteIdent, quoteTable } from '../db/pool.ts'
import type { EntityNode, FeatureNode } from '../graph/graph.ts'
import { plainArray, textArray } from './literals.ts'
import type { Outcome } from './outcome.ts'

/** Lines to leave before they are folded into one. */
const FOLD_ABOVE = 200

export interface NullCount {
  readonly rows: number
  readonly nulls: number
}

/** Features of the entity that may be null only so often. */
export function ratedOf({ features }: EntityNode): readonly FeatureNode[] {
  return features.filter(({ feature }) => feature.expect?.maxNullRate !== undefined)
}

/** Counts the table anew, in one snapshot with what was added meanwhile; nobody folds at the same time. */
export async function recountNulls(client: Client, node: EntityNode): Promise<void> {
  const rated = ratedOf(node)
  const entity = node.entity.name
  await holdNulls(client, entity)
  const nulls = rated.map(({ feature }) => `count(*) filter (where ${quoteIdent(feature.name)} is null)`)
  const counted =
    rated.length === 0
      ? ''
      : `insert into rescore.null_count (entity, feature, rows, nulls)
         select $1, u.feature, c.rows, u.nulls
         from (select count(*) as rows, array[${nulls.join(', ')}] as nulls from ${quoteTable(node.featureTable)}) c,
           unnest($2::text[], c.nulls) as u(feature, nulls)`
  const names = textArray(rated.map(({ feature }) => feature.name))
  await client.query(
    `with gone as (delete from rescore.null_count where entity = $1)
     ${counted === '' ? 'select $1::text, $2::text[]' : counted}`,
    [entity, names],
  )
}

export async function holdNulls(client: Client, entity: string): Promise<void> {
  await client.query('select pg_advisory_xact_lock($1, hashtext($2))', [NULLS_LOCK_CLASS, entity])
}

/** By feature. In a statement after the lock was taken, so that it shows what the one before has committed. */
export async function readNulls(client: Client, entity: string): Promise<ReadonlyMap<string, NullCount>> {
  const { rows } = await client.query<{ feature: string; rows: number; nulls: number }>({
    name: 'rescore-null-count',
    text: `select feature, sum(rows)::float8 as rows, sum(nulls)::float8 as nulls from rescore.null_count
      where entity = $1 group by feature`,
    values: [entity],
  })
  return new Map(rows.map(({ feature, ...count }) => [feature, count]))
}

function changeOf({ row, computed }: Outcome, bit: number): NullCount {
  const before = row.epoch === null ? 0 : 1
  const after = computed === null ? 0 : 1
  const nulls =
    (after === 1 && (computed?.values[bit] ?? null) === null ? 1 : 0) -
    (before === 1 && (row.stored[bit] ?? null) === null ? 1 : 0)
  return { rows: after - before, nulls }
}

export class NullCounter {
  readonly #entity: string
  readonly #rated: readonly FeatureNode[]
  #linesAdded = 0

  constructor(node: EntityNode) {
    this.#entity = node.entity.name
    this.#rated = ratedOf(node)
  }

  /** @param outcomes whose rows were written or removed */
  async add(client: Client, outcomes: readonly Outcome[]): Promise<void> {
    const lines = this.#rated
      .map(({ feature, bit }) => {
        const changes = outcomes.map((outcome) => changeOf(outcome, bit))
        const sum = (of: 'rows' | 'nulls') => changes.reduce((total, change) => total + change[of], 0)
        return { feature: feature.name, rows: sum('rows'), nulls: sum('nulls') }
      })
      .filter(({ rows, nulls }) => rows !== 0 || nulls !== 0)
    if (lines.length === 0) return
    await client.query({
      name: 'rescore-null-count-add',
      text: `insert into rescore.null_count (entity, feature, rows, nulls)
        select $1, u.* from unnest($2::text[], $3::bigint[], $4::bigint[]) as u`,
      values: [
        this.#entity,
        textArray(lines.map(({ feature }) => feature)),
        plainArray(lines.map(({ rows }) => rows)),
        plainArray(lines.map(({ nulls }) => nulls)),
      ],
    })
    this.#linesAdded += lines.length
    if (this.#linesAdded >= FOLD_ABOVE) await this.#fold(client)
  }

  /** Only where nobody else has the lock: there is always a next time. */
  async #fold(client: Client): Promise<void> {
    this.#linesAdded = 0
    await client.query({
      name: 'rescore-null-count-fold',
      text: `with mine as materialized (select pg_try_advisory_xact_lock($1, hashtext($2)) as ok),
          gone as (delete from rescore.null_count where entity = $2 and (select ok from mine) returning feature, rows, nulls)
        insert into rescore.null_count (entity, feature, rows, nulls)
        select $2, feature, sum(rows), sum(nulls) from gone group by feature`,
      values: [NULLS_LOCK_CLASS, this.#entity],
    })
  }
}
