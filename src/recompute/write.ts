/**
 * Writes what recomputing changed: feature rows, and the rows of entities that are gone.
 *
 * Invariants. Guarded by snapshot: a row computed from a newer snapshot is never overwritten, and what the guard refuses
 * has no history. In key order, so that two writers cannot deadlock. All in the caller's transaction: after a crash
 * either everything of a batch is there, its position included, or nothing.
 */
import { formatLsn } from '../db/lsn.ts'
import { quoteIdent, quoteTable } from '../db/pool.ts'
import type { FeatureValue } from '../define/index.ts'
import { isPlanted } from '../faults.ts'
import { SILENCED_BY } from '../graph/silenced.ts'
import { writeHistory } from './history.ts'
import { plainArray, textArray, timestampText } from './literals.ts'
import { NullCounter } from './null-count.ts'
import { failureOf, isHealed, isOrphan, markOf, mustWrite, type Outcome, type WriteContext } from './outcome.ts'
import { featureType, type Program } from './program.ts'
import { heal, putAside } from './quarantine.ts'
import { type Statement, statement } from './statement.ts'
import { writeViolations } from './violations.ts'

function upsertSql(program: Program, isGuarded: boolean): string {
  const names = program.features.map(({ node }) => quoteIdent(node.feature.name))
  const columns = ['key', ...names, 'source_lsn', 'source_at', SILENCED_BY, 'snap_lsn', 'epoch']
  const types = [...program.features.map(featureType), 'pg_lsn', 'timestamptz', 'bigint']
  const arrays = [`$1::text[]::${program.keyType}[]`, ...types.map((type, index) => `$${index + 2}::${type}[]`)]
  const snapshot = `$${arrays.length + 1}::pg_lsn`
  const epoch = `$${arrays.length + 2}::integer`
  return `insert into ${quoteTable(program.node.featureTable)} as t (${columns.join(', ')})
    select u.*, ${snapshot}, ${epoch} from unnest(${arrays.join(', ')}) as u order by 1
    on conflict (key) do update set ${names.map((name) => `${name} = excluded.${name}`).join(', ')},
      source_lsn = coalesce(excluded.source_lsn, t.source_lsn),
      source_at = coalesce(excluded.source_at, t.source_at), ${SILENCED_BY} = excluded.${SILENCED_BY},
      snap_lsn = excluded.snap_lsn, epoch = excluded.epoch, computed_at = clock_timestamp()
    ${isGuarded ? 'where t.snap_lsn <= excluded.snap_lsn' : ''}
    returning t.key::text as key`
}

function isText(value: FeatureValue): value is string | null {
  return value === null || typeof value === 'string'
}

function isPlain(value: FeatureValue): value is number | boolean | null {
  return typeof value !== 'string'
}

function columnArray(outcomes: readonly Outcome[], bit: number, type: string): string {
  const values = outcomes.map(({ computed }) => computed?.values[bit] ?? null)
  return type === 'text' ? textArray(values.filter(isText)) : plainArray(values.filter(isPlain))
}

export class Writer {
  readonly #program: Program
  readonly #upsert: Statement
  readonly #remove: Statement
  readonly #nulls: NullCounter

  constructor(program: Program) {
    this.#program = program
    this.#nulls = new NullCounter(program.node)
    this.#upsert = statement('save', upsertSql(program, true))
    this.#remove = statement(
      'remove',
      `delete from ${quoteTable(program.node.featureTable)}
       where key = any($1::text[]::${program.keyType}[]) and snap_lsn <= $2 returning key::text as key`,
    )
  }

  /** Returns the outcomes whose effects are in the table now, without those the guard refused. */
  async write(context: WriteContext, outcomes: readonly Outcome[]): Promise<readonly Outcome[]> {
    const { entity } = this.#program.node
    const wanted = new Set(outcomes.filter((outcome) => mustWrite(outcome, context)))
    const written = await this.#save(context, [...wanted])
    const isIn = new Set(written)
    const removed = await this.#delete(context, outcomes.filter(isOrphan))
    await putAside(
      context,
      entity.name,
      outcomes.filter((outcome) => failureOf(outcome) !== null),
    )
    await heal(context.client, entity.name, outcomes.filter(isHealed))
    await writeViolations(
      context.client,
      entity.name,
      outcomes.filter((outcome) => isIn.has(outcome) || !wanted.has(outcome)),
    )
    const done = [...written, ...removed]
    await this.#nulls.add(context.client, done)
    if (!isPlanted('history-dropped')) await writeHistory(context, entity.name, done)
    return done
  }

  async #save(context: WriteContext, outcomes: readonly Outcome[]): Promise<readonly Outcome[]> {
    if (outcomes.length === 0) return []
    const { client, snapshotLsn, epoch } = context
    const { features } = this.#program
    const isUnguarded = isPlanted('no-version-guard')
    const { rows } = await client.query<{ key: string }>({
      ...(isUnguarded ? statement('save', upsertSql(this.#program, false)) : this.#upsert),
      values: [
        textArray(outcomes.map(({ row }) => row.key)),
        ...features.map((feature, bit) => columnArray(outcomes, bit, featureType(feature))),
        textArray(
          outcomes.map(({ dirty }) => (dirty === null || dirty.newestLsn === 0n ? null : formatLsn(dirty.newestLsn))),
        ),
        textArray(outcomes.map(({ dirty }) => (dirty === null ? null : timestampText(dirty.newestCauseMs)))),
        textArray(outcomes.map((outcome) => markOf(outcome, context)?.toString() ?? null)),
        formatLsn(snapshotLsn),
        epoch,
      ],
    })
    return accepted(outcomes, rows)
  }

  async #delete({ client, snapshotLsn }: WriteContext, outcomes: readonly Outcome[]): Promise<readonly Outcome[]> {
    if (outcomes.length === 0) return []
    const { rows } = await client.query<{ key: string }>({
      ...this.#remove,
      values: [textArray(outcomes.map(({ row }) => row.key)), formatLsn(snapshotLsn)],
    })
    return accepted(outcomes, rows)
  }
}

function accepted(outcomes: readonly Outcome[], rows: readonly { readonly key: string }[]): readonly Outcome[] {
  if (rows.length === outcomes.length) return outcomes
  const keys = new Set(rows.map(({ key }) => key))
  return outcomes.filter(({ row }) => keys.has(row.key))
}
