/**
 * One look at the running service: stages, slot, connectors, and what is kept aside.
 * Invariant: read-only, one snapshot, and cheap enough to be asked every second.
 */
import type { Pool } from '../db/pool.ts'
import { withTransaction } from '../db/pool.ts'
import { type PastSummary, readPastSummary } from '../history/describe.ts'
import { nowSql } from '../log/clock.ts'
import { countSilenced, type Silenced } from './silenced.ts'
import { type PartitionStatus, readShared, WORKER_GONE, type WorkerStatus } from './status-shared.ts'
import { countViolations, type ViolationCount } from './violations.ts'

export interface StageStatus {
  readonly stage: string
  /** Seconds; null: not measured yet. */
  readonly lagSeconds: number | null
  readonly lagTrend: string | null
  readonly ratePerSecond: number | null
  /** Entries not yet handled; null: no worker is there to know. */
  readonly backlog: number | null
  readonly sweeping: boolean
  /** Partitions that no worker has, so that nobody handles their changes; 0 on the embedded log. */
  readonly unowned: number
  readonly reflectedLsn: string
  readonly reflectedAt: string | null
  /** WAL written since the reflected position, ours or not. */
  readonly behindBytes: number
  readonly lastError: string | null
  readonly lastErrorAt: string | null
}

export interface Status {
  readonly stages: readonly StageStatus[]
  /** Processes that share the stages and are there; empty on the embedded log. */
  readonly workers: readonly WorkerStatus[]
  /** Empty on the embedded log. */
  readonly partitions: readonly PartitionStatus[]
  readonly slot: {
    readonly name: string
    readonly active: boolean
    readonly walStatus: string | null
    readonly retainedBytes: number
  } | null
  readonly connectors: readonly {
    readonly connector: string
    readonly stream: string
    readonly done: number | null
    readonly total: number | null
    readonly updatedAt: string
  }[]
  readonly classifications: readonly { readonly model: string; readonly label: string; readonly count: number }[]
  /** Features that run other code under their version, for which nobody has answered, as `entity.feature`. */
  readonly edited: readonly string[]
  readonly quarantined: number
  /** Entities that a silent backfill has computed, and that were not scored since. */
  readonly silenced: readonly Silenced[]
  /** Values that are not as their features expect. */
  readonly violations: readonly ViolationCount[]
  readonly rejected: number
  readonly timers: TimerStatus
  /** Changes published without their large columns, because their topic cannot take them. */
  readonly unpublished: number
  readonly past: PastSummary
}

export interface TimerStatus {
  readonly waiting: number
  /** Their time has come. */
  readonly overdue: number
  /** null: none waits. */
  readonly nextAt: string | null
  /** Seconds by which the one that has waited longest is late; 0: none is. */
  readonly behindSeconds: number
  /** How far the time it is for features is ahead of the clock, which has jumped back; 0: it is not. */
  readonly standsStillSeconds: number
}

interface StageRow {
  readonly stage: string
  readonly reflected_lsn: string
  readonly reflected_at: string | null
  readonly behind: number
  readonly lag_seconds: number | null
  readonly lag_trend: string | null
  readonly rate_per_second: number | null
  readonly backlog: number | null
  readonly is_shared: boolean
  readonly sweeping: boolean | null
  readonly last_error: string | null
  readonly last_error_at: string | null
}

const STAGES = `select p.stage, p.reflected_lsn::text, p.reflected_at::text,
  greatest(0, pg_current_wal_insert_lsn() - p.reflected_lsn)::float8 as behind, s.lag_seconds, s.lag_trend, s.rate_per_second,
  s.backlog::float8 as backlog, h.stage is not null as is_shared, coalesce(h.sweeps_done < h.sweeps_wanted, s.sweeping) as sweeping, s.last_error, s.last_error_at::text
  from rescore.stage_position p
  left join rescore.shared_stage h on h.stage = p.stage and exists (
    select from rescore.stage_position o where o.stage = p.stage and o.topic <> '')
  left join lateral (
    select max(w.lag_seconds) as lag_seconds, (array_agg(w.lag_trend order by w.lag_seconds desc nulls last))[1] as lag_trend,
      sum(w.rate_per_second) as rate_per_second, sum(w.backlog) as backlog, bool_or(w.sweeping) as sweeping,
      (array_agg(w.last_error order by w.last_error_at desc nulls last))[1] as last_error, max(w.last_error_at) as last_error_at
    from rescore.stage_status w
    where w.stage = p.stage and (w.worker = '' or w.updated_at > now() - ${WORKER_GONE})) s on true
  where p.topic = '' order by p.stage`

const SLOT = `select s.slot_name as name, s.active, s.wal_status as "walStatus",
  greatest(0, pg_current_wal_insert_lsn() - s.restart_lsn)::float8 as "retainedBytes"
  from pg_replication_slots s join rescore.capture c on c.slot = s.slot_name`

const CONNECTORS = `select connector, stream, done::float8 as done, total::float8 as total, updated_at::text as "updatedAt"
  from rescore.connector_state order by connector, stream`

const EDITED = `select d.entity || '.' || d.feature as name from rescore.definition d
  where d.edited_hash is not null and not exists (select from rescore.equivalent e
    where (e.entity, e.feature, e.version, e.hash) = (d.entity, d.feature, d.version, d.edited_hash)) order by 1`
const NO_TIMERS: TimerStatus = { waiting: 0, overdue: 0, nextAt: null, behindSeconds: 0, standsStillSeconds: 0 }

const TIMERS = `select count(t.due_at)::float8 as waiting, (count(*) filter (where t.due_at <= c.now))::float8 as overdue,
    min(t.due_at) filter (where t.due_at > c.now)::text as "nextAt",
    greatest(0, extract(epoch from c.now - min(t.due_at)))::float8 as "behindSeconds",
    greatest(0, extract(epoch from c.now - clock_timestamp()))::float8 as "standsStillSeconds"
  from (select ${nowSql()} as now) c left join rescore.timer t on true group by c.now`

export async function readStatus(pool: Pool): Promise<Status> {
  return withTransaction(pool, { isolation: 'repeatable read', readOnly: true }, async (client) => {
    const stages = await client.query<StageRow>(STAGES)
    const { workers, partitions } = await readShared(client)
    const slot = await client.query<NonNullable<Status['slot']>>(SLOT)
    const connectors = await client.query<Status['connectors'][number]>(CONNECTORS)
    const labels = await client.query<Status['classifications'][number]>(
      'select model, label, count(*)::float8 as count from rescore.classification group by 1, 2 order by 1, 2',
    )
    const edited = await client.query<{ name: string }>(EDITED)
    const aside = await client.query<{ quarantined: number; rejected: number; unpublished: number }>(
      `select (select count(*) from rescore.quarantine)::float8 as quarantined,
              (select count(*) from rescore.reject)::float8 as rejected,
              (select count(*) from rescore.unpublished)::float8 as unpublished`,
    )
    const violations = await countViolations(client)
    const timers = await client.query<TimerStatus>(TIMERS)
    return {
      stages: stages.rows.map((row) => stageStatus(row, partitions)),
      workers,
      partitions,
      slot: slot.rows[0] ?? null,
      connectors: connectors.rows,
      classifications: labels.rows,
      edited: edited.rows.map(({ name }) => name),
      quarantined: aside.rows[0]?.quarantined ?? 0,
      silenced: await countSilenced(client),
      violations,
      rejected: aside.rows[0]?.rejected ?? 0,
      timers: timers.rows[0] ?? NO_TIMERS,
      unpublished: aside.rows[0]?.unpublished ?? 0,
      past: await readPastSummary(client),
    }
  })
}

function stageStatus(row: StageRow, partitions: readonly PartitionStatus[]): StageStatus {
  return {
    stage: row.stage,
    lagSeconds: row.lag_seconds,
    lagTrend: row.lag_trend,
    ratePerSecond: row.rate_per_second,
    backlog: row.backlog ?? (row.is_shared ? null : 0),
    unowned: partitions.filter(({ stage, owner }) => stage === row.stage && owner === null).length,
    sweeping: row.sweeping ?? false,
    reflectedLsn: row.reflected_lsn,
    reflectedAt: row.reflected_at,
    behindBytes: row.behind,
    lastError: row.last_error,
    lastErrorAt: row.last_error_at,
  }
}
