/**
 * Keys held by one transaction at a time, for stages whose work several processes share.
 *
 * Why: changes are keyed by row, so two workers can have the same entity in hand. Guards alone do not make that right.
 * A newer worker may find nothing to write (a value went away and came back) while an older one, which has not
 * committed yet, is about to write the value in between; and a row that an older snapshot still shows would be put in
 * again after a newer one has deleted it. No later change would mend either.
 *
 * The argument. Whoever recomputes a key first holds it, until its commit, and reads only afterwards, each statement in a
 * snapshot of its own (READ COMMITTED). So the holders of a key follow one another, and each reads all that those before
 * it wrote and every source change they saw. A change is visible to its own batch before that batch holds anything; take
 * the last holder of a key on whose behalf a feature was dirty: no change of that feature's inputs can have become
 * visible after it read, since that change's own batch would be a later holder. (Or it holds nothing, because a holder
 * that has committed had the change in sight: recompute/computed.ts.) So what the last one leaves is the value
 * of the inputs as they are, and it compared with what is stored, not with what was. The key of a row that is gone is
 * held like any other, so nobody puts it in again from before.
 *
 * How: a row that exists is held by its row lock, which needs no memory however many there are. One that does not exist
 * is held by an advisory lock, and then looked for once more: if it has been put in meanwhile, its row lock is what
 * counts. Advisory locks are shared out over a fixed number of buckets, so that PostgreSQL's lock table cannot fill up.
 * Rows are waited for in key order, then buckets in theirs; a row found only then is taken if it is free, and never
 * waited for, since it may come before rows that are held already: the batch is repeated, and takes it in its order. So
 * holders wait in one order, over all spaces of a batch as well, and do not deadlock.
 */
import { parseLsn } from '../db/lsn.ts'
import { type Client, isLockRefused } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import { isPlanted } from '../faults.ts'
import { MARK_SQL } from './clock.ts'
import type { ApplyContext } from './stage.ts'

const BUCKETS = 512

export interface Held {
  /** What the keys name, in words: an entity, a model. */
  readonly space: string
  /** Selects `key` as text of the rows of $1 (text[]) for update, in key order; further parameters from $2. */
  readonly lock: { readonly name: string; readonly text: string; readonly values: readonly unknown[] }
}

const HOLD_MISSING = `select pg_advisory_xact_lock(hashtext($1), bucket)
  from (select distinct hashtext(key) & ${BUCKETS - 1} as bucket from unnest($2::text[]) as k (key)
        order by bucket offset 0) as b`

async function lockRows(client: Client, { lock }: Held, keys: readonly string[], suffix = ''): Promise<Set<string>> {
  const { rows } = await client.query<{ key: string }>({
    name: `${lock.name}${suffix.replace(' ', '-')}`,
    text: `${lock.text}${suffix}`,
    values: [keys, ...lock.values],
  })
  return new Set(rows.map(({ key }) => key))
}

async function lock(client: Client, held: Held, keys: readonly string[]): Promise<void> {
  const found = await lockRows(client, held, keys)
  const missing = keys.filter((key) => !found.has(key))
  if (missing.length === 0) return
  await client.query({ name: 'rescore-hold-missing', text: HOLD_MISSING, values: [`rescore ${held.space}`, missing] })
  try {
    await lockRows(client, held, missing, ' nowait')
  } catch (error) {
    throw isLockRefused(error) ? keysHeld(held) : error
  }
}

function keysHeld({ space }: Held): RescoreError {
  return new RescoreError({
    code: 'LOG_KEYS_HELD',
    fate: 'retry',
    message: `Rows of ${space} that were just put in are held by another worker.`,
    mend: 'Nothing: the batch is repeated at once. Nothing was lost or doubled.',
  })
}

/**
 * Waits until no other transaction holds any of the keys, and holds them until this one, READ COMMITTED, ends.
 * @throws RescoreError LOG_KEYS_HELD of fate `retry`
 * @returns with an LSN read before anything the caller will read: the version of what it writes; and the time marked by
 * then, which is no less than whoever held a key before took it to be
 */
export async function holdKeys(context: ApplyContext, held: Held, keys: readonly string[]): Promise<ApplyContext> {
  const { client, nowMs } = context
  if (!isPlanted('keys-not-held')) await lock(client, held, keys)
  const { rows } = await client.query<{ lsn: string; now: number }>(MARK_SQL)
  const [told] = rows
  return { ...context, snapshotLsn: parseLsn(told?.lsn ?? '0/0'), nowMs: Math.max(nowMs, told?.now ?? 0) }
}
