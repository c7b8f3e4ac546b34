/**
 * Who has which part of the stages that processes share over Kafka, and how far each partition is.
 *
 * Invariant: a partition is shown with an owner only while a worker that its group gave it to is there; one that has
 * gone without a word, a crash, is believed for WORKER_GONE_SECONDS, because nothing but its silence tells.
 */
import type { Queryable } from '../db/pool.ts'
import { WORKER_GONE_SECONDS } from './stage-status.ts'

export const WORKER_GONE = `interval '${WORKER_GONE_SECONDS} seconds'`

export interface WorkerStatus {
  readonly worker: string
  readonly stage: string
  /** Given to it by the consumer group; 0: it stands by, because there are fewer partitions than workers. */
  readonly partitions: number
  readonly backlog: number
  readonly lagSeconds: number | null
  readonly lagTrend: string | null
  readonly ratePerSecond: number | null
  readonly seenAt: string
}

export interface PartitionStatus {
  readonly stage: string
  readonly topic: string
  readonly partition: number
  /** The worker that has it now; null: nobody. */
  readonly owner: string | null
  /** The worker that moved it last; null: nobody yet. */
  readonly lastOwner: string | null
  /** Records its owner knows of and has not handled; null: nobody has it. */
  readonly backlog: number | null
  /** Age of the oldest record that waits, else from commit to handled of the last one; null: nobody has it, or no record yet. */
  readonly lagSeconds: number | null
  /** Of its owner in this stage. */
  readonly lagTrend: string | null
  readonly nextOffset: string
  readonly reflectedLsn: string
  readonly movedAt: string
}

const WORKERS = `select worker, stage, jsonb_array_length(assigned) as partitions, backlog::float8 as backlog,
    lag_seconds as "lagSeconds", lag_trend as "lagTrend", rate_per_second as "ratePerSecond", updated_at::text as "seenAt"
  from rescore.stage_status where worker <> '' and updated_at > now() - ${WORKER_GONE} order by worker, stage`

/** While a group is shared out anew two workers may name one partition: the one that spoke last has it. */
const PARTITIONS = `with owners as (
    select distinct on (w.stage, a.topic, a.partition) w.stage, a.topic, a.partition, w.worker, w.lag_trend, a.records, a.since
    from rescore.stage_status w
      cross join lateral jsonb_to_recordset(w.assigned) a (topic text, partition integer, records bigint, since timestamptz)
    where w.worker <> '' and w.updated_at > now() - ${WORKER_GONE}
    order by w.stage, a.topic, a.partition, w.updated_at desc)
  select p.stage, p.topic, p.partition, o.worker as owner, p.owner as "lastOwner", o.records::float8 as backlog,
    case when o.since is not null then greatest(0, extract(epoch from clock_timestamp() - o.since))::float8
         when o.worker is not null then p.lag_seconds end as "lagSeconds",
    o.lag_trend as "lagTrend", p.next_offset::text as "nextOffset", p.reflected_lsn::text as "reflectedLsn",
    p.moved_at::text as "movedAt"
  from rescore.stage_position p left join owners o on o.stage = p.stage and o.topic = p.topic and o.partition = p.partition
  where p.topic <> '' order by p.stage, p.topic, p.partition`

export async function readShared(client: Queryable): Promise<{
  readonly workers: readonly WorkerStatus[]
  readonly partitions: readonly PartitionStatus[]
}> {
  const workers = await client.query<WorkerStatus>(WORKERS)
  const partitions = await client.query<PartitionStatus>(PARTITIONS)
  return { workers: workers.rows, partitions: partitions.rows }
}
