/** How far backfills are, beside the lag of live changes: one look. Reads only. */
import type { Queryable } from '../db/pool.ts'
import { BACKFILL_COLUMNS, type Backfill, doneCount } from './job.ts'

export interface Progress extends Backfill {
  readonly done: number
  /** Entities a second since it was started, or over its whole time where it has ended; null: not started. */
  readonly ratePerSecond: number | null
  /** Seconds at that rate; null: it does not run, or nothing is done yet. */
  readonly leftSeconds: number | null
  /** Seconds that the slowest stage's live changes lag; null: not measured. */
  readonly liveLagSeconds: number | null
}

interface Row extends Backfill {
  readonly seconds: number | null
  readonly liveLagSeconds: number | null
}

const PROGRESS = `select ${BACKFILL_COLUMNS},
    extract(epoch from coalesce(ended_at, clock_timestamp()) - started_at)::float8 as seconds,
    (select max(lag_seconds) from rescore.stage_status where updated_at > now() - interval '10 s') as "liveLagSeconds"
  from rescore.backfill`

function progressOf({ seconds, ...row }: Row): Progress {
  const done = doneCount(row)
  const ratePerSecond = seconds === null || seconds <= 0 ? null : done / seconds
  const isCounting = row.state === 'running' && ratePerSecond !== null && ratePerSecond > 0
  const leftSeconds = isCounting ? Math.max(0, row.total - done) / ratePerSecond : null
  return { ...row, done, ratePerSecond, leftSeconds }
}

/** Those under way first, then the newest. */
export async function readProgress(database: Queryable, limit: number): Promise<readonly Progress[]> {
  const { rows } = await database.query<Row>(
    `${PROGRESS} order by (state in ('done', 'cancelled')), id desc limit $1`,
    [limit],
  )
  return rows.map(progressOf)
}

export async function readProgressOf(database: Queryable, id: bigint): Promise<Progress | null> {
  const { rows } = await database.query<Row>(`${PROGRESS} where id = $1`, [id])
  return rows[0] === undefined ? null : progressOf(rows[0])
}
