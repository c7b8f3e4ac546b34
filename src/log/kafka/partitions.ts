/**
 * Which partitions a stage has a position in: those its topics have, no more and no fewer.
 *
 * Invariant: a row is made once, with the offset at which the stage begins there and the id of its topic, and whoever
 * comes later finds both. Every step can be repeated after a crash.
 */
import type { Pool } from '../../db/pool.ts'
import { RescoreError } from '../../errors.ts'
import { type Source, WHOLE } from '../log.ts'
import { ensurePosition } from '../stage-position.ts'

/** A partition as its topic has it. */
export interface FoundPartition extends Source {
  /** Where a stage begins that has no position in it yet. Default 0. */
  readonly offset?: bigint
  /** Null: its brokers give topics none. */
  readonly topicId?: string | null
}

/**
 * Rows for exactly these partitions, and those of the stage as a whole; a partition that no topic has any more would hold
 * the whole back for ever.
 * @throws RescoreError LOG_KAFKA_PARTITIONS when a topic that was read has more partitions than then
 */
export async function ensurePartitions(pool: Pool, stage: string, found: readonly FoundPartition[]): Promise<void> {
  await refuseOtherCounts(pool, stage, found)
  await pool.query('insert into rescore.shared_stage (stage) values ($1) on conflict do nothing', [stage])
  await ensurePosition(pool, stage, [WHOLE])
  const columns = [found.map(({ topic }) => topic), found.map(({ partition }) => partition)]
  await pool.query(
    `insert into rescore.stage_position as p
       (stage, topic, partition, lsn, index, reflected_lsn, next_offset, begin_offset, topic_id)
     select $1, u.topic, u.partition, '0/0', 0, '0/0', u.begin, u.begin, u.id
     from unnest($2::text[], $3::integer[], $4::bigint[], $5::text[]) as u (topic, partition, begin, id)
     order by 2, 3
     on conflict (stage, topic, partition) do update set topic_id = excluded.topic_id
       where p.topic_id is null and excluded.topic_id is not null`,
    [stage, ...columns, found.map(({ offset = 0n }) => offset), found.map(({ topicId = null }) => topicId)],
  )
  await pool.query(
    `delete from rescore.stage_position p where stage = $1 and topic <> ''
       and not exists (select from unnest($2::text[], $3::integer[]) as u (topic, partition)
                       where u.topic = p.topic and u.partition = p.partition)`,
    [stage, ...columns],
  )
}

/** Added partitions take over keys whose earlier changes may not have been read: not to be told apart afterwards. */
async function refuseOtherCounts(pool: Pool, stage: string, found: readonly Source[]): Promise<void> {
  const { rows } = await pool.query<{ topic: string; known: number; now: number }>(
    `select topic, known, now from
       (select topic, count(*)::integer as known from rescore.stage_position where stage = $1 and topic <> '' group by 1) p
       join (select topic, count(*)::integer as now from unnest($2::text[]) as u (topic) group by 1) f using (topic)
     where known <> now order by topic limit 1`,
    [stage, found.map(({ topic }) => topic)],
  )
  const [row] = rows
  if (row === undefined) return
  throw new RescoreError({
    code: 'LOG_KAFKA_PARTITIONS',
    fate: 'stop',
    message: `Topic ${row.topic} has ${row.now} partitions; stage '${stage}' has read ${row.known} of them so far, and keys have moved between them.`,
    mend: 'Stop every process, `rescore resync --yes`, and start: everything is recomputed, in the new partitions.',
  })
}
