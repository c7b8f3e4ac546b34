/** A database with a feature table as recompute makes it, and the stage 'score' over it, driven by hand. */
import { withTransaction } from '../../src/db/pool.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import type { Batch, Change } from '../../src/log/log.ts'
import type { StageEvent } from '../../src/log/stage.ts'
import type { ModelSet } from '../../src/score/registry.ts'
import { createScoreStage, type ScoreStage } from '../../src/score/stage.ts'
import { amount, colour, isPartner, pair, visits } from './models/pair/model.ts'
import { createTestDatabase, type TestDatabase } from './pg.ts'

export const graph = compileGraph({ connectors: [], features: [amount, visits, isPartner, colour], models: [pair] })

export interface Setting extends AsyncDisposable {
  readonly database: TestDatabase
  readonly stage: ScoreStage
  readonly events: StageEvent[]
}

/** A feature table as recompute makes it, with shops 1 (quiet, 0.27), 2 (busy, 0.5 exactly) and 3 (busy, 0.86). */
export async function setting(label: string, models: ModelSet): Promise<Setting> {
  const database = await createTestDatabase(label)
  await database.query(`create table rescore.features_shop (
    key integer primary key, amount double precision, visits bigint, is_partner boolean, colour bigint,
    snap_lsn pg_lsn not null, epoch integer not null, source_lsn pg_lsn, source_at timestamptz,
    computed_at timestamptz not null default clock_timestamp(), silenced_by bigint)`)
  await database.query(`insert into rescore.features_shop (key, amount, visits, is_partner, colour, snap_lsn, epoch, source_at)
    values (1, 0, 0, false, 1, '0/10', 1, null), (2, 0, 2, false, 1, '0/10', 1, '2026-01-02 03:04:05.678+00'),
           (3, null, 3, null, 1, '0/10', 1, null)`)
  const events: StageEvent[] = []
  const stage = createScoreStage({ graph, models, report: (event) => events.push(event) })
  await stage.deploy(database.pool)
  return { database, stage, events, [Symbol.asyncDispose]: () => database[Symbol.asyncDispose]() }
}

export function change(part: Partial<Change>): Change {
  const position = { lsn: 1n, index: 1 }
  const base = { kind: 'change', position, xid: 1, committedAtMs: 0, table: 'rescore.features_shop' } as const
  return { ...base, op: 'insert', before: null, after: null, changed: null, ...part }
}

export function batchOf(...entries: readonly Change[]): Batch {
  return { entries, end: { lsn: 2n, index: 0 }, committedAtMs: 0, xids: [1] }
}

export const inserted = (...keys: readonly number[]) =>
  batchOf(...keys.map((key) => change({ after: { key: String(key) } })))

export const AT = 0x100n

export async function apply({ database, stage }: Setting, batch: Batch, snapshotLsn = AT): Promise<void> {
  const work = stage.plan(batch)
  if (work === null) throw new Error('The batch means nothing to the stage.')
  await withTransaction(database.pool, { isolation: 'repeatable read' }, (client) =>
    stage.apply(work, { client, snapshotLsn, nowMs: 0, signal: new AbortController().signal }),
  )
  stage.committed?.(work)
}

export async function sweep({ database, stage }: Setting, snapshotLsn = AT): Promise<number> {
  const piece = () =>
    withTransaction(database.pool, { isolation: 'repeatable read' }, (client) =>
      stage.sweep({ client, snapshotLsn, nowMs: 0, signal: new AbortController().signal }),
    )
  let pieces = 1
  while (await piece()) pieces += 1
  return pieces
}

export async function classifications({ database }: Setting) {
  const { rows } = await database.query<{
    key: string
    label: string
    probability: number
    features_lsn: string
    snap_lsn: string
    version: string
    row: string
  }>(`select key, label, round(probability::numeric, 4)::float8 as probability, features_lsn::text, snap_lsn::text,
        model_version as version, xmin::text || ctid::text as row from rescore.classification order by key`)
  return rows
}

export async function history({ database }: Setting) {
  const { rows } = await database.query(
    `select key, op, from_label, to_label, features_lsn::text from rescore.classification_history order by id`,
  )
  return rows
}
