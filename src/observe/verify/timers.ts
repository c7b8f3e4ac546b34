/**
 * Timers that were due when verify began: what time has changed by then is to be stored before anything is compared.
 * Invariant: waits no longer than it is told to; those that have not fired by then are named, whatever their values say.
 */
import { Backoff } from '../../db/backoff.ts'
import type { Queryable } from '../../db/pool.ts'
import { type Clock, nowSql } from '../../log/clock.ts'
import type { Difference } from './difference.ts'

const LISTED = 1_000

/** The time it is for what is derived. */
export async function readNow(database: Queryable, clock: Clock | undefined): Promise<number> {
  const { rows } = await database.query<{ now: number }>(
    `select floor(extract(epoch from ${nowSql(clock)}) * 1000)::float8 as now`,
  )
  return rows[0]?.now ?? 0
}

/** Resolves once every timer that was due then has fired, or when the time is over. */
export async function waitUntilFired(
  database: Queryable,
  dueMs: number,
  { signal, withinMs }: { readonly signal: AbortSignal; readonly withinMs: number },
): Promise<void> {
  const deadline = performance.now() + withinMs
  const backoff = new Backoff({ baseMs: 10, maxMs: 250 })
  while ((await overdueTimers(database, dueMs, 1)).length > 0 && performance.now() < deadline) {
    await backoff.wait(signal)
  }
}

/** Those that were due then and are still there. */
export async function overdueTimers(
  database: Queryable,
  dueMs: number,
  limit = LISTED,
): Promise<readonly Difference[]> {
  const { rows } = await database.query<{ entity: string; key: string; feature: string; due: string }>(
    `select t.entity, t.key, t.feature, t.due_at::text as due
     from (select distinct entity from rescore.definition) e
     cross join lateral (select * from rescore.timer t where t.entity = e.entity and t.due_at <= to_timestamp($1::float8 / 1000)
       order by t.due_at limit $2) t
     order by t.due_at limit $2`,
    [dueMs, limit],
  )
  return rows.map(({ entity, key, feature, due }) => ({
    kind: 'timer',
    entity,
    key,
    what: feature,
    stored: due,
    expected: null,
    message: `Its timer was due at ${due} and has not fired.`,
  }))
}
