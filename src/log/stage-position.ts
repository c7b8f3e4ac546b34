/**
 * The stored position of a stage in a source: the dedupe of its batches and the fence against a second copy of it.
 *
 * Invariants: it moves only by compare-and-set, in the transaction of the effects; a row that does not stand where this
 * process left it belongs to another one. Who takes a stage over raises its fence first: a process that stood still
 * meanwhile moves nothing any more, and so never fences the one that took over. The reflected position only grows.
 */
import { formatLsn, parseLsn } from '../db/lsn.ts'
import type { Client, Pool, Queryable } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import { BARRIER_PREFIX, type Source, WHOLE } from './log.ts'
import { type Position, START } from './position.ts'

/** Up to where a stage vouches. */
export interface Reflected {
  readonly lsn: bigint
  /** Commit time there, milliseconds since 1970; 0: not known. */
  readonly atMs: number
}

export interface StoredPosition {
  readonly position: Position
  readonly reflectedLsn: bigint
}

/** Makes the rows of a stage that never ran. */
export async function ensurePosition(pool: Pool, stage: string, sources: readonly Source[] = [WHOLE]): Promise<void> {
  await pool.query(
    `insert into rescore.stage_position (stage, topic, partition, lsn, index, reflected_lsn)
     select $1, u.topic, u.partition, '0/0', 0, '0/0' from unnest($2::text[], $3::integer[]) as u (topic, partition)
     order by 2, 3 on conflict do nothing`,
    [stage, sources.map(({ topic }) => topic), sources.map(({ partition }) => partition)],
  )
}

export async function readStored(pool: Pool, stage: string, source: Source = WHOLE): Promise<StoredPosition> {
  const { rows } = await pool.query<{ lsn: string; index: number; reflected: string }>(
    `select lsn::text, index, reflected_lsn::text as reflected from rescore.stage_position
     where stage = $1 and topic = $2 and partition = $3`,
    [stage, source.topic, source.partition],
  )
  const row = rows[0]
  if (row === undefined) return { position: START, reflectedLsn: 0n }
  return { position: { lsn: parseLsn(row.lsn), index: row.index }, reflectedLsn: parseLsn(row.reflected) }
}

export interface Taken extends StoredPosition {
  readonly fence: bigint
}

/** Makes the stage this process's own: from now on only this fence moves it. */
export async function takePosition(pool: Pool, stage: string): Promise<Taken> {
  const { rows } = await pool.query<{ lsn: string; index: number; reflected: string; fence: bigint }>(
    `insert into rescore.stage_position as p (stage, lsn, index, reflected_lsn, fence) values ($1, '0/0', 0, '0/0', 1)
     on conflict (stage, topic, partition) do update set fence = p.fence + 1
     returning p.lsn::text, p.index, p.reflected_lsn::text as reflected, p.fence`,
    [stage],
  )
  const row = rows[0]
  if (row === undefined) throw fenced(stage)
  const position = { lsn: parseLsn(row.lsn), index: row.index }
  return { position, reflectedLsn: parseLsn(row.reflected), fence: row.fence }
}

/** Where a process believes its stage to stand, and by what right. */
export interface Held {
  readonly position: Position
  readonly fence: bigint
}

/** The stored position of a stage; START for one that never ran. */
export async function readPosition(pool: Pool, stage: string): Promise<Position> {
  return (await readStored(pool, stage)).position
}

/** A sweep moves no position, so the row of the whole is locked instead: held by, or moved under, one process at a time. */
export async function holdPosition(client: Client, stage: string, { position, fence }: Held): Promise<void> {
  const { rowCount } = await client.query({
    name: 'rescore-hold-position',
    text: `select from rescore.stage_position
           where stage = $1 and topic = '' and partition = 0 and lsn = $2 and index = $3 and fence = $4 for update`,
    values: [stage, formatLsn(position.lsn), position.index, fence],
  })
  if (rowCount === 0) throw fenced(stage)
}

/**
 * Asks for a barrier that comes through the log behind everything committed so far.
 * @returns an LSN that everything visible to the caller now stands before
 */
export async function emitBarrier(database: Queryable, stage: string): Promise<bigint> {
  const { rows } = await database.query<{ lsn: string }>({
    name: 'rescore-emit-barrier',
    text: `select pg_current_wal_insert_lsn()::text as lsn, pg_logical_emit_message(true, $1, $2)`,
    values: [BARRIER_PREFIX, stage],
  })
  return parseLsn(rows[0]?.lsn ?? '0/0')
}

/** Of the whole. @throws RescoreError LOG_FENCED when the stored position and fence are not `from` */
export async function movePosition(
  client: Client,
  stage: string,
  move: { readonly from: Held; readonly to: Position; readonly reflected: Reflected | null },
): Promise<void> {
  const { from, to, reflected } = move
  const { rowCount } = await client.query({
    name: 'rescore-move-position',
    text: `with moved as (
             update rescore.stage_position
             set lsn = $4, index = $5, moved_at = clock_timestamp(),
                 reflected_lsn = greatest(reflected_lsn, coalesce($6::pg_lsn, reflected_lsn)),
                 reflected_at = coalesce($7::timestamptz, reflected_at)
             where stage = $1 and topic = '' and partition = 0 and lsn = $2 and index = $3 and fence = $8
             returning stage)
           select case when $6::pg_lsn is not null then pg_notify('rescore_reflected', stage) end from moved`,
    values: [
      stage,
      formatLsn(from.position.lsn),
      from.position.index,
      formatLsn(to.lsn),
      to.index,
      reflected === null ? null : formatLsn(reflected.lsn),
      reflected === null || reflected.atMs === 0 ? null : new Date(reflected.atMs).toISOString(),
      from.fence,
    ],
  })
  if (rowCount === 0) throw fenced(stage)
}

export function fenced(stage: string): RescoreError {
  return new RescoreError({
    code: 'LOG_FENCED',
    fate: 'stop',
    message: `Another process moved the position of stage '${stage}'.`,
    mend: 'Run one copy of this stage, or let the other one go on; nothing was lost or doubled.',
  })
}
