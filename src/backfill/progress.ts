/** How far backfills are, beside the lag of live changes: one look. Reads only. */
import type { Queryable } from '../db/pool.ts'
import { BACKFILL_COLUMNS, type Backfill, doneCount } from './job.ts'

export interface Progress extends Backfill {
  readonly done: number
  /** Entities a second: of the last 10 to 20 s where it runs, over its whole time where it has ended; else null. */
  readonly ratePerSecond: number | null
  /** Seconds at that rate; null: it does not run, or nothing is done yet. */
  readonly leftSeconds: number | null
  /** Seconds that the slowest stage's live changes lag; null: not measured. */
  readonly liveLagSeconds: number | null
  /** Who has done how many of it, and when last; those that did most first. */
  readonly workers: readonly { readonly worker: string; readonly entities: number; readonly seenAt: string }[]
}

interface Row extends Backfill {
  /** Since the moment the rate counts from. */
  readonly seconds: number | null
  /** Done before that. */
  readonly doneBefore: number
  readonly liveLagSeconds: number | null
  readonly workers: Progress['workers']
}

const PROGRESS = `select ${BACKFILL_COLUMNS},
    case when state = 'running' then extract(epoch from clock_timestamp() - before_at)
      else extract(epoch from ended_at - started_at) end::float8 as seconds,
    case when state = 'running' then before_done else 0 end::float8 as "doneBefore",
    (select coalesce(json_agg(json_build_object('worker', w.worker, 'entities', w.entities, 'seenAt', w.seen_at)
        order by w.entities desc), '[]')
      from rescore.backfill_worker w where w.backfill = id) as workers,
    (select max(lag_seconds) from rescore.stage_status where updated_at > now() - interval '10 s') as "liveLagSeconds"
  from rescore.backfill`

function progressOf({ seconds, doneBefore, ...row }: Row): Progress {
  const done = doneCount(row)
  const ratePerSecond = seconds === null || seconds <= 0 ? null : (done - doneBefore) / seconds
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
