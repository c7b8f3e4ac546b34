/**
 * What the lane says to PostgreSQL of a running job.
 *
 * Invariants: a chunk in hand is locked, and there until it is done; counters, the share of the worker and the rate move
 * in the transaction of the entities; a job is done only when everything is cut and nobody has a chunk of it in hand.
 */
import { BACKFILL_COLUMNS } from './job.ts'

/** Each running job in turn, those of a declared rate when their time has come. */
export const NEXT_JOB = `select ${BACKFILL_COLUMNS},
    (extract(epoch from started_at) * 1000)::float8 as "startedAtMs",
    (select count(*)::float8 from rescore.backfill_chunk c where c.backfill = b.id) as chunks
  from rescore.backfill b where state = 'running' and paced_until <= clock_timestamp()
  order by (id <= $1), id limit 1`

export const TAKE = `select c.seq, c.keys from rescore.backfill_chunk c join rescore.backfill b on b.id = c.backfill
  where c.backfill = $1 and b.state = 'running' order by c.seq limit 1 for update of c skip locked`

/** For the planted bug alone. */
export const TAKE_AWAY = `delete from rescore.backfill_chunk where (backfill, seq) in (
  select backfill, seq from rescore.backfill_chunk where backfill = $1 order by seq limit 1) returning seq, keys`

/** Waits for whoever paces the same job: what is over before its time is not taken. */
export const TAKE_TURN = `update rescore.backfill set
    paced_until = greatest(paced_until, clock_timestamp() - interval '1 s') + make_interval(secs => $2::float8 / rate)
  where id = $1 and state = 'running' and paced_until <= clock_timestamp() returning id`

const NOTE_AFTER = `interval '10 s'`
const isNoted = `noted_at < clock_timestamp() - ${NOTE_AFTER}`

export const COUNT = `with share as (
    insert into rescore.backfill_worker as w (backfill, worker, entities) values ($1, $7, $8)
    on conflict (backfill, worker) do update set entities = w.entities + excluded.entities, seen_at = clock_timestamp())
  update rescore.backfill set changed = changed + $2, unchanged = unchanged + $3, fresh = fresh + $4,
    failed = failed + $5, gone = gone + $6,
    before_at = case when ${isNoted} then noted_at else before_at end,
    before_done = case when ${isNoted} then noted_done else before_done end,
    noted_done = case when ${isNoted} then changed + unchanged + fresh + failed + gone else noted_done end,
    noted_at = case when ${isNoted} then clock_timestamp() else noted_at end
  where id = $1`

/**
 * Entities that were in its scope and never came to be cut: something else has brought them up to date, or they are gone.
 * Definitions whose stale values it has all caught up with are nobody's to catch up with any more.
 */
export const FINISH = `with finished as (
    update rescore.backfill b set state = 'done', ended_at = clock_timestamp(), is_total_exact = true,
      fresh = fresh + case when policy <> 'all' then missed else 0 end,
      gone = gone + case when policy = 'all' then missed else 0 end,
      total = case when is_listed then total when is_total_exact then greatest(total, done) else done end
    from (select id, changed + unchanged + fresh + failed + gone as done,
        case when is_listed or not is_total_exact then 0
          else greatest(0, total - (changed + unchanged + fresh + failed + gone)) end as missed
      from rescore.backfill where id = $1) as s
    where b.id = s.id and b.state = 'running' and b.is_cut
      and not exists (select from rescore.backfill_chunk where backfill = $1)
    returning b.*)
  update rescore.definition d set backfill = null from finished f
  where d.backfill = f.id
    or (d.entity = f.entity and d.backfill is not null and d.deployed_at < f.created_at
      and f.policy in ('stale', 'all') and f.condition is null and (f.priority is not null or not f.is_listed)
      and (f.features = '{}' or d.feature = any(f.features)))`

/** Kept with its reason until somebody tells it to resume. */
export const FAIL = `update rescore.backfill set state = 'failed', failure = $2 where id = $1 and state = 'running'`
