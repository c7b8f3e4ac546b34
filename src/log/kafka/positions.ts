/**
 * The rows of rescore.stage_position and rescore.shared_stage that belong to a stage shared over Kafka.
 *
 * Invariants: a partition's row moves only by compare-and-set, in the transaction of the effects, and takes the offset
 * along; what a partition vouches for only grows. The row of the whole is moved by positions-reflected.ts alone, under
 * the lock of the stage's shared row; whoever makes rows stale says so under the same lock.
 */
import { formatLsn, parseLsn } from '../../db/lsn.ts'
import { type Client, type Pool, type Queryable, withTransaction } from '../../db/pool.ts'
import { RescoreError } from '../../errors.ts'
import { isPlanted } from '../../faults.ts'
import type { Source } from '../log.ts'
import type { Position } from '../position.ts'
import type { Reflected } from '../stage-position.ts'
import type { KafkaRecord } from './decode.ts'

/** What is vouched for at or above `fromLsn` holds only once every partition has handled everything up to `untilLsn`. */
export interface Withheld {
  readonly fromLsn: bigint
  readonly untilLsn: bigint
}

export interface PartitionPosition {
  readonly position: Position
  /** Where to read on. */
  readonly nextOffset: bigint
  /** Records before it are of no concern: of another history, or covered by the first sweep. */
  readonly beginOffset: bigint
  readonly reflectedLsn: bigint
  readonly withheld: readonly Withheld[]
}

interface PartitionRow {
  readonly topic: string
  readonly partition: number
  readonly lsn: string
  readonly index: number
  readonly next_offset: bigint
  readonly begin_offset: bigint
  readonly reflected: string
  readonly reflected_at_ms: number | null
  readonly withheld: readonly string[]
}

const COLUMNS = `topic, partition, lsn::text, index, next_offset, begin_offset, reflected_lsn::text as reflected, withheld::text[],
  (extract(epoch from reflected_at) * 1000)::float8 as reflected_at_ms`

function pairs(lsns: readonly string[]): readonly Withheld[] {
  const found: Withheld[] = []
  for (let at = 0; at + 1 < lsns.length; at += 2) {
    found.push({ fromLsn: parseLsn(lsns[at] ?? ''), untilLsn: parseLsn(lsns[at + 1] ?? '') })
  }
  return found
}

function positionOf(row: PartitionRow): PartitionPosition {
  return {
    position: { lsn: parseLsn(row.lsn), index: row.index },
    nextOffset: row.next_offset,
    beginOffset: row.begin_offset,
    reflectedLsn: parseLsn(row.reflected),
    withheld: pairs(row.withheld),
  }
}

/** @throws RescoreError LOG_NO_PARTITION when the start did not know it */
export async function readPartition(
  pool: Pool,
  stage: string,
  { topic, partition }: Source,
): Promise<PartitionPosition> {
  const { rows } = await pool.query<PartitionRow>(
    `select ${COLUMNS} from rescore.stage_position where stage = $1 and topic = $2 and partition = $3`,
    [stage, topic, partition],
  )
  const [row] = rows
  if (row !== undefined) return positionOf(row)
  throw new RescoreError({
    code: 'LOG_NO_PARTITION',
    fate: 'stop',
    message: `Stage '${stage}' was given partition ${partition} of ${topic}, which it did not know at its start.`,
    mend: 'Partitions were added or other definitions deployed: start again.',
  })
}

export interface PartitionReflected extends PartitionPosition {
  readonly source: Source
  readonly reflectedAtMs: number
}

export async function readPartitions(database: Queryable, stage: string): Promise<readonly PartitionReflected[]> {
  const { rows } = await database.query<PartitionRow>({
    name: 'rescore-read-partitions',
    text: `select ${COLUMNS} from rescore.stage_position where stage = $1 and topic <> '' order by topic, partition`,
    values: [stage],
  })
  return rows.map((row) => ({
    ...positionOf(row),
    source: { topic: row.topic, partition: row.partition },
    reflectedAtMs: row.reflected_at_ms ?? 0,
  }))
}

export interface PartitionMove {
  readonly from: Position
  readonly to: Position
  readonly nextOffset: bigint
  readonly reflected: Reflected | null
  readonly withheld: readonly Withheld[]
  /** The process that moves it, for people. */
  readonly owner: string
  readonly lagSeconds: number
}

/** @throws RescoreError LOG_PARTITION_MOVED when the stored position is not `from` */
export async function movePartition(client: Client, stage: string, source: Source, move: PartitionMove): Promise<void> {
  const { from, to, reflected, withheld } = move
  const isCompared = isPlanted('position-not-compared') ? 'is not null' : ''
  const { rowCount } = await client.query({
    name: 'rescore-move-partition',
    text: `update rescore.stage_position
      set lsn = $6, index = $7, next_offset = $8, moved_at = clock_timestamp(), owner = $9, lag_seconds = $10,
        reflected_lsn = greatest(reflected_lsn, coalesce($11::pg_lsn, reflected_lsn)),
        reflected_at = coalesce($12::timestamptz, reflected_at), withheld = $13::text[]::pg_lsn[]
      where stage = $1 and topic = $2 and partition = $3 and (lsn = $4 and index = $5) ${isCompared}`,
    values: [
      stage,
      source.topic,
      source.partition,
      formatLsn(from.lsn),
      from.index,
      formatLsn(to.lsn),
      to.index,
      move.nextOffset,
      move.owner,
      move.lagSeconds,
      reflected === null ? null : formatLsn(reflected.lsn),
      reflected === null || reflected.atMs === 0 ? null : new Date(reflected.atMs).toISOString(),
      withheld.flatMap(({ fromLsn, untilLsn }) => [formatLsn(fromLsn), formatLsn(untilLsn)]),
    ],
  })
  if (rowCount === 0) throw partitionMoved(stage, source)
}

/** No error of anybody's: a partition may move to another worker at any time, and then this one's batch is dropped. */
function partitionMoved(stage: string, { topic, partition }: Source): RescoreError {
  return new RescoreError({
    code: 'LOG_PARTITION_MOVED',
    fate: 'retry',
    message: `Another worker moved partition ${partition} of ${topic} on for stage '${stage}'.`,
    mend: 'Nothing: this worker dropped its batch and asks the group what is its own. Nothing was lost or doubled.',
  })
}

/** A record that cannot be decoded, kept whole in the transaction that passes over it. */
export async function keepAside(
  client: Client,
  stage: string,
  { topic, partition }: Source,
  letters: readonly { readonly record: KafkaRecord; readonly error: RescoreError }[],
): Promise<void> {
  for (const { record, error } of letters) {
    await client.query({
      name: 'rescore-keep-aside',
      text: `insert into rescore.dead_letter (stage, topic, partition, record_offset, key, value, code, reason)
        values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing`,
      values: [stage, topic, partition, record.offset, record.key, record.value, error.code, error.message],
    })
  }
}

/** An LSN that everything visible to the caller's statements before stands behind. */
export async function readWalLsn(client: Client): Promise<bigint> {
  const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
  return parseLsn(rows[0]?.lsn ?? '0/0')
}

/**
 * Rows were made stale in the caller's transaction: the whole vouches for nothing new until a sweep has been through.
 * Waits for the lock no longer than whoever moves the reflected position has it: a deploy that has it may be waiting for
 * what this transaction holds. Then the batch is repeated.
 */
export async function wantSweep(client: Client, stage: string): Promise<void> {
  await client.query(`set local lock_timeout = '500ms'`)
  await client.query('select from rescore.shared_stage where stage = $1 for update', [stage])
  await client.query('set local lock_timeout = 0')
  await client.query('update rescore.shared_stage set sweeps_wanted = sweeps_wanted + 1 where stage = $1', [stage])
}

/** Runs `deploy` while the whole vouches for nothing new, and wants a sweep after it. */
export async function whileHeld(pool: Pool, stage: string, deploy: () => Promise<void>): Promise<void> {
  await pool.query('insert into rescore.shared_stage (stage) values ($1) on conflict do nothing', [stage])
  await withTransaction(pool, {}, async (client) => {
    await client.query('select from rescore.shared_stage where stage = $1 for update', [stage])
    await deploy()
    await client.query('update rescore.shared_stage set sweeps_wanted = sweeps_wanted + 1 where stage = $1', [stage])
  })
}

/** For when every stage may have missed something: changes from before there was a slot, ids of another server. */
export async function wantSweepOfAll(pool: Pool, stages: readonly string[]): Promise<void> {
  await pool.query('delete from rescore.computed')
  await pool.query(
    `insert into rescore.shared_stage as s (stage) select unnest($1::text[]) order by 1
     on conflict (stage) do update set sweeps_wanted = s.sweeps_wanted + 1`,
    [stages],
  )
}
