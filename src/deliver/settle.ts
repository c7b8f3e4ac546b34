/**
 * What became of a write, put into the ledger in one transaction.
 * Invariant: what was not acknowledged stays due; a record that was refused waits longer each time and blocks nobody.
 */
import { type Pool, type Queryable, withTransaction } from '../db/pool.ts'
import type { Delivery } from '../define/index.ts'
import type { Values } from './difference.ts'

export interface Written {
  readonly key: string
  readonly mark: bigint
  /** What the destination holds now; null: nothing, the entity is gone. */
  readonly values: Values | null
}

export interface Aside {
  readonly key: string
  readonly mark: bigint
  readonly code: string
  readonly reason: string
  /** null: not tried again until the classification changes. */
  readonly waitMs: number | null
}

/** Doubles from a minute to a day. */
export function asideForMs(attempts: number): number {
  return Math.min(86_400_000, 60_000 * 2 ** Math.min(attempts, 20))
}

async function saveWritten(client: Queryable, delivery: Delivery, written: readonly Written[]): Promise<void> {
  if (written.length === 0) return
  await client.query(
    `update rescore.delivery d set sent = u.sent::jsonb, sent_at = clock_timestamp(),
       pending = null, unsure = '{}', attempts = 0, code = null, reason = null, failed_at = null,
       due_at = case when d.mark = u.mark then null else d.due_at end
     from unnest($2::text[], $3::bigint[], $4::text[]) as u (key, mark, sent)
     where d.destination = $1 and d.key = u.key`,
    [
      delivery.name,
      written.map(({ key }) => key),
      written.map(({ mark }) => mark),
      written.map(({ values }) => (values === null ? null : JSON.stringify(values))),
    ],
  )
}

async function saveAside(client: Queryable, delivery: Delivery, aside: readonly Aside[]): Promise<void> {
  if (aside.length === 0) return
  await client.query(
    `update rescore.delivery d set attempts = case when u.wait_ms is null then 0 else d.attempts + 1 end,
       code = u.code, reason = left(u.reason, 1000), failed_at = clock_timestamp(),
       pending = case when u.wait_ms is null then null else d.pending end,
       due_at = case when u.wait_ms is not null then clock_timestamp() + u.wait_ms * interval '1 millisecond'
                     when d.mark = u.mark then null else d.due_at end
     from unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::float8[]) as u (key, mark, code, reason, wait_ms)
     where d.destination = $1 and d.key = u.key`,
    [
      delivery.name,
      aside.map(({ key }) => key),
      aside.map(({ mark }) => mark),
      aside.map(({ code }) => code),
      // Answers of others may hold anything.
      aside.map(({ reason }) => reason.toWellFormed().replaceAll('\0', '\uFFFD')),
      aside.map(({ waitMs }) => waitMs),
    ],
  )
}

export async function settle(
  pool: Pool,
  delivery: Delivery,
  written: readonly Written[],
  aside: readonly Aside[],
): Promise<void> {
  await withTransaction(pool, {}, async (client) => {
    await saveWritten(client, delivery, written)
    await saveAside(client, delivery, aside)
    await client.query(
      `update rescore.delivery_destination set written = written + $2, refused = refused + $3, paused_until = null,
         error_code = null, error = null, updated_at = clock_timestamp() where name = $1`,
      [delivery.name, written.length, aside.length],
    )
  })
}

/** All of a destination failed: nothing is tried before `untilMs`, and these records then come last. */
export async function pause(
  pool: Pool,
  delivery: Delivery,
  keys: readonly string[],
  why: { readonly code: string; readonly message: string; readonly waitMs: number },
): Promise<void> {
  await withTransaction(pool, {}, async (client) => {
    await client.query(
      `update rescore.delivery set due_at = clock_timestamp() + $3 * interval '1 millisecond'
       where destination = $1 and key = any($2) and due_at is not null`,
      [delivery.name, keys, why.waitMs],
    )
    await client.query(
      `update rescore.delivery_destination set paused_until = clock_timestamp() + $2 * interval '1 millisecond',
         error_code = $3, error = left($4, 1000), error_at = clock_timestamp(), updated_at = clock_timestamp()
       where name = $1`,
      [delivery.name, why.waitMs, why.code, why.message],
    )
  })
}
