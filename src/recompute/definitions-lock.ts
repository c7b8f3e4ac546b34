/**
 * The lock on the deployed definitions: changed by one transaction while no other works by them.
 *
 * Invariants: whoever shares a stage works by definitions that nobody changes until it commits, so what an older process
 * writes stands before the deployment, stale by its epoch and found by the sweep; it never lands on a newer value. Whoever
 * changes definitions or their columns waits in short attempts: behind a waiting lock everybody else would queue, and one
 * long query would stand still the whole service. A crash frees it with the session.
 */
import { Backoff } from '../db/backoff.ts'
import { ADVISORY_LOCK } from '../db/locks.ts'
import { type Client, isLockRefused, type Pool, type Queryable, sqlState, withTransaction } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'

const ATTEMPT_MS = 2_000
const PATIENCE_MS = 60_000

/** Until the transaction ends nobody changes the definitions. */
export async function shareDefinitions(client: Queryable): Promise<void> {
  await client.query({
    name: 'rescore-share-definitions',
    text: 'select pg_advisory_xact_lock_shared($1)',
    values: [ADVISORY_LOCK.deployFeatures],
  })
}

function refused(cause: unknown): RescoreError {
  return new RescoreError({
    code: 'FEATURE_TABLE_BUSY',
    fate: 'stop',
    message: `The feature tables were in use by other transactions for ${PATIENCE_MS / 1_000} s.`,
    mend: 'Look for the oldest: select pid, xact_start, query from pg_stat_activity order by xact_start; end it, or wait, and try again.',
    cause,
  })
}

/**
 * Runs `work` in a transaction while nobody works by the definitions; again where a lock was not free in time.
 * @throws RescoreError FEATURE_TABLE_BUSY
 */
export async function whileDefinitionsHeld<T>(
  pool: Pool,
  work: (client: Client) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS
  const backoff = new Backoff({ baseMs: 100, maxMs: 2_000 })
  for (;;) {
    try {
      return await withTransaction(pool, {}, async (client) => {
        await client.query(`set local lock_timeout = '${ATTEMPT_MS}ms'`)
        await client.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCK.deployFeatures])
        return await work(client)
      })
    } catch (error) {
      // A backfill that is paced holds its row before it asks for the definitions, which a deployment does the other way.
      if (!isLockRefused(error) && sqlState(error) !== '40P01') throw error
      if (performance.now() > deadline) throw refused(error)
      await backoff.wait(signal)
    }
  }
}
