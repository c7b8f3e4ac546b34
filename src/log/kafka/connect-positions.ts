/**
 * The rows of rescore.stage_position as connect-progress.ts reads and moves them.
 * Invariant: what a partition vouches for only grows, and is moved only where everything before its given end was handled.
 */
import { formatLsn, parseLsn } from '../../db/lsn.ts'
import type { Pool } from '../../db/pool.ts'
import type { Reflected } from '../stage-position.ts'
import type { FoundPartition } from './partitions.ts'

/** What is to be said of every partition that has been handled up to its end. */
export interface Round {
  readonly say: Reflected
  readonly ends: readonly FoundPartition[]
}

/**
 * What the stage before vouches for, and what its work comes to: changes handled, sweeps, pieces of backfills. Each of them
 * counts in the transaction that writes; so the same `workDone` means that nothing was written since.
 */
export async function readUpstream(
  pool: Pool,
  stage: string,
): Promise<{ readonly say: Reflected; readonly workDone: string }> {
  const { rows } = await pool.query<{ lsn: string; at_ms: number | null; work_done: string }>({
    name: 'rescore-read-upstream',
    text: `select w.reflected_lsn::text as lsn, (extract(epoch from w.reflected_at) * 1000)::float8 as at_ms,
        concat_ws(' ', (select md5(string_agg(concat_ws(' ', topic, partition, next_offset), ',' order by topic, partition))
            from rescore.stage_position p where p.stage = w.stage and topic <> ''),
          (select sweeps_done from rescore.shared_stage s where s.stage = w.stage),
          (select sum(changed + unchanged + fresh + failed + gone) from rescore.backfill)) as work_done
      from rescore.stage_position w where w.stage = $1 and w.topic = ''`,
    values: [stage],
  })
  const [row] = rows
  if (row === undefined) return { say: { lsn: 0n, atMs: 0 }, workDone: '' }
  return { say: { lsn: parseLsn(row.lsn), atMs: row.at_ms ?? 0 }, workDone: row.work_done }
}

/** Whether every partition has said it. */
export async function sayOf(pool: Pool, stage: string, { say: { lsn, atMs }, ends }: Round): Promise<boolean> {
  const { rows } = await pool.query<{ left: number }>({
    name: 'rescore-say-partitions',
    // A row that is being moved is looked at again; never waited for, since many are held here at once.
    text: `with passed as (
        select p.stage, p.topic, p.partition from rescore.stage_position p
        join unnest($4::text[], $5::integer[], $6::bigint[]) as e (topic, partition, last)
          on e.topic = p.topic and e.partition = p.partition
        where p.stage = $1 and p.next_offset >= e.last and p.reflected_lsn < $2::pg_lsn for update of p skip locked
      ), said as (
        update rescore.stage_position p set reflected_lsn = $2::pg_lsn, reflected_at = coalesce($3::timestamptz, reflected_at)
        from passed where p.stage = passed.stage and p.topic = passed.topic and p.partition = passed.partition returning 1)
      select ((select count(*) from rescore.stage_position where stage = $1 and topic <> '' and reflected_lsn < $2::pg_lsn)
        - (select count(*) from said))::integer as left`,
    values: [
      stage,
      formatLsn(lsn),
      atMs === 0 ? null : new Date(atMs).toISOString(),
      ends.map(({ topic }) => topic),
      ends.map(({ partition }) => partition),
      ends.map(({ offset = 0n }) => offset),
    ],
  })
  return rows[0]?.left === 0
}

/** The end of the write-ahead log: nothing that is committed lies behind it. */
export async function readWalEnd(pool: Pool): Promise<bigint> {
  const { rows } = await pool.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
  return parseLsn(rows[0]?.lsn ?? '0/0')
}
