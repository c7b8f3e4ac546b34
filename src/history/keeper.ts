/**
 * The part of a service that keeps the histories in shape: months made ahead, the rule applied, now and then.
 *
 * Invariants: one process at a time, under a role; nothing that goes wrong here ends or slows the service: it is told, noted
 * for `rescore status`, and tried again. A crash leaves what was done, and the next run goes on.
 */
import { sleep } from '../db/backoff.ts'
import { runAsLeader } from '../db/leader.ts'
import type { Pool, Queryable } from '../db/pool.ts'
import { asError } from '../errors.ts'
import { readNow } from './partitions.ts'
import { type RetentionOptions, type RetentionRun, retain } from './retention.ts'
import { isForEver, type Rule } from './rule.ts'

export interface RunOptions extends Pick<RetentionOptions, 'share' | 'faults'> {
  readonly url: string
  readonly pool: Pool
  readonly rule: Rule
  readonly signal: AbortSignal
  /** Another process is at it; this one waits. */
  readonly onWaiting?: () => void
}

async function noteBegin(db: Queryable): Promise<void> {
  await db.query(
    `insert into rescore.history_run (began_at) values (clock_timestamp())
     on conflict (id) do update set began_at = excluded.began_at, error = null`,
  )
}

async function noteEnd(db: Queryable, { rowsFolded, dropped, waiting }: RetentionRun): Promise<void> {
  await db.query(
    'update rescore.history_run set ended_at = clock_timestamp(), rows_folded = $1, dropped = $2, error = $3',
    [rowsFolded, dropped, waiting.length === 0 ? null : waiting.join(' ')],
  )
}

/** Applies the rule once. @throws what the database says; what was done until then stands */
export async function runRetention({
  url,
  pool,
  rule,
  signal,
  onWaiting,
  share,
  faults,
}: RunOptions): Promise<RetentionRun> {
  let run: RetentionRun = { rowsFolded: 0, dropped: [], waiting: [] }
  const work = async (isLeader: AbortSignal) => {
    await noteBegin(pool)
    const options = { pool, rule, now: await readNow(pool), signal: isLeader, faults }
    try {
      run = await retain(share === undefined ? options : { ...options, share })
    } catch (error) {
      // Best effort: what ended the run may keep this from being written, and is thrown anyway.
      await pool.query('update rescore.history_run set error = $1', [asError(error).message]).catch(() => undefined)
      throw error
    }
    await noteEnd(pool, run)
  }
  await runAsLeader(url, 'history', signal, work, { onRole: (role) => void (role === 'stand-by' && onWaiting?.()) })
  signal.throwIfAborted()
  return run
}

export interface KeeperOptions extends Omit<RunOptions, 'onWaiting'> {
  readonly log: { warn(fields: object, message: string): void }
  readonly everyMs?: number
}

const EVERY_MS = 3_600_000
/** Where something had to wait. */
const AGAIN_MS = 60_000

/** Resolves when the signal has aborted. */
export async function keepHistory({ log, everyMs = EVERY_MS, ...options }: KeeperOptions): Promise<void> {
  const { rule, signal } = options
  // The months are made before a service starts.
  let restMs = isForEver(rule) ? everyMs : 0
  while (!signal.aborted) {
    // Rejects only when the signal aborts, which the loop's condition sees.
    await sleep(restMs, signal).catch(() => undefined)
    if (signal.aborted) return
    try {
      const { waiting } = await runRetention(options)
      restMs = waiting.length === 0 ? everyMs : Math.min(everyMs, AGAIN_MS)
    } catch (error) {
      if (signal.aborted) return
      restMs = Math.min(everyMs, AGAIN_MS)
      log.warn(
        { error: asError(error).message },
        'The past could not be brought in line with its rule; tried again soon.',
      )
    }
  }
}
