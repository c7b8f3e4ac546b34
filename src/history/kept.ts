/**
 * From when on the past of an entity can be told.
 *
 * Invariants: the instant only moves forward, and is moved before anything older is folded: who reads rows and then finds
 * it not beyond its time has read them whole. While somebody holds the past of an entity, it does not move.
 */
import { HISTORY_LOCK_CLASS } from '../db/locks.ts'
import { type Client, type Pool, type Queryable, withTransaction } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import { formatInstant, type Instant, instantSql } from './instant.ts'

/** Null: all of it. */
export async function readKeptFrom(db: Queryable, entity: string): Promise<Instant | null> {
  const { rows } = await db.query<{ from: bigint }>(
    `select ${instantSql('kept_from')} as "from" from rescore.history_kept where entity = $1`,
    [entity],
  )
  return rows[0]?.from ?? null
}

/** @throws RescoreError HISTORY_NOT_KEPT; asked after the rows were read */
export async function assertKept(db: Queryable, entity: string, at: Instant): Promise<void> {
  const from = await readKeptFrom(db, entity)
  if (from === null || at >= from) return
  throw new RescoreError({
    code: 'HISTORY_NOT_KEPT',
    fate: 'stop',
    message: `What was known of ${entity} at ${formatInstant(at)} is not kept: its past begins at ${formatInstant(from)}.`,
    mend: 'Ask for a later time; how long the past is kept stands in rescore.config.ts: history.',
  })
}

/** Moves it to `from`, if that is later; false while somebody holds the past of the entity. */
export function moveKeptFrom(pool: Pool, entity: string, from: Instant): Promise<boolean> {
  return withTransaction(pool, {}, async (client) => {
    const { rows } = await client.query<{ taken: boolean }>(
      'select pg_try_advisory_xact_lock($1::integer, hashtext($2)) as taken',
      [HISTORY_LOCK_CLASS, entity],
    )
    if (rows[0]?.taken !== true) return false
    await client.query(
      `insert into rescore.history_kept as k (entity, kept_from) values ($1, $2::timestamptz)
       on conflict (entity) do update set kept_from = excluded.kept_from, moved_at = excluded.moved_at
       where k.kept_from < excluded.kept_from`,
      [entity, formatInstant(from)],
    )
    return true
  })
}

/**
 * Keeps the past of the entity from being folded until `work` has ended.
 * @param session one connection, not a pool: the lock is its own, and ends with it
 */
export async function whileHeld<T>(
  session: Client,
  entity: string,
  work: (keptFrom: Instant | null) => Promise<T>,
): Promise<T> {
  const lock = [HISTORY_LOCK_CLASS, entity]
  await session.query('select pg_advisory_lock_shared($1::integer, hashtext($2))', lock)
  try {
    return await work(await readKeptFrom(session, entity))
  } finally {
    // Of a session that is lost nothing has to be given back, and why it is lost is told by whatever failed first.
    await session.query('select pg_advisory_unlock_shared($1::integer, hashtext($2))', lock).catch(() => undefined)
  }
}
