/**
 * How each stream is doing, for `rescore status` and `rescore connectors`.
 * Invariant: written beside the records, never in their transaction: a status that is lost says nothing false.
 */
import type { Pool } from '../db/pool.ts'
import type { BudgetUsage } from './budget.ts'
import type { Landed } from './landing.ts'

interface At {
  readonly connector: string
  readonly stream: string
}

async function saveStage(pool: Pool, connector: string, written: number, error: string | null): Promise<void> {
  await pool.query(
    `insert into rescore.stage_status as s (stage, entries, changed, last_error, last_error_at)
     values ($1, $2, $2, $3, case when $3::text is null then null else clock_timestamp() end)
     on conflict (stage, worker) do update set entries = s.entries + excluded.entries, changed = s.changed + excluded.changed,
       last_error = coalesce(excluded.last_error, s.last_error),
       last_error_at = coalesce(excluded.last_error_at, s.last_error_at), updated_at = clock_timestamp()`,
    [`connect:${connector}`, written, error],
  )
}

export async function savePassed(
  pool: Pool,
  passed: At & { readonly landed: Landed; readonly everyMs: number; readonly budgets: readonly BudgetUsage[] },
): Promise<void> {
  const { connector, stream, landed, everyMs, budgets } = passed
  await pool.query(
    `insert into rescore.stream_status as s (connector, stream, passes, written, rejected, last_read_at, next_run_at, budgets)
     values ($1, $2, 1, $3, $4, clock_timestamp(), clock_timestamp() + $5 * interval '1 millisecond', $6)
     on conflict (connector, stream) do update set passes = s.passes + 1, written = s.written + excluded.written,
       rejected = s.rejected + excluded.rejected, last_read_at = excluded.last_read_at,
       next_run_at = excluded.next_run_at, budgets = excluded.budgets`,
    [connector, stream, landed.written, landed.rejected, everyMs, JSON.stringify(budgets)],
  )
  if (landed.written > 0) await saveStage(pool, connector, landed.written, null)
}

/** A pass that goes on has read up to now. */
export async function saveRead(pool: Pool, { connector, stream }: At): Promise<void> {
  await pool.query(
    `insert into rescore.stream_status (connector, stream, last_read_at) values ($1, $2, clock_timestamp())
     on conflict (connector, stream) do update set last_read_at = excluded.last_read_at`,
    [connector, stream],
  )
}

export async function saveFailed(
  pool: Pool,
  { connector, stream, error }: At & { readonly error: Error },
): Promise<void> {
  await pool.query(
    `insert into rescore.stream_status as s (connector, stream, last_error, last_error_at)
     values ($1, $2, $3, clock_timestamp())
     on conflict (connector, stream) do update set last_error = excluded.last_error, last_error_at = excluded.last_error_at`,
    [connector, stream, error.message],
  )
  await saveStage(pool, connector, 0, error.message)
}
