/**
 * One running service per database: a session-level advisory lock on a connection of its own.
 *
 * On the embedded log one service does all the work. Over Kafka any number of processes share it, each with a share of
 * the lease, so the two ways never run at once; what there is one of among them is in leader.ts.
 * Invariant: the lease only keeps two services from doing the same work twice; that nothing goes wrong when it fails
 * (a zombie, a restarted server) is held by the compare-and-set of stage positions. A crash frees it with the session,
 * and so does standing still (held-session.ts).
 */
import { hostname } from 'node:os'
import { asError, isRescoreError, RescoreError } from '../errors.ts'
import { aborted, Backoff } from './backoff.ts'
import { type Beat, type HeldSession, openHeldSession } from './held-session.ts'
import { ADVISORY_LOCK } from './locks.ts'
import { isRetriableDbError } from './pool.ts'

function heldBy(holder: string): RescoreError {
  return new RescoreError({
    code: 'DB_LEASE_HELD',
    fate: 'stop',
    message: `Another Rescore runs on this database: ${holder}.`,
    mend: 'Stop that one first, or let it go on: one service does all the work of a database.',
  })
}

/** `alone`: no other service of any kind; `shared`: others that share the work, and none that does it alone. */
export type LeaseMode = 'alone' | 'shared'

export interface LeaseOptions {
  readonly patienceMs?: number
  readonly mode?: LeaseMode
  readonly beat?: Beat
}

/** Takes the lease and resolves with the session that holds it. @throws RescoreError DB_LEASE_HELD */
async function take(url: string, { mode = 'alone', beat }: LeaseOptions): Promise<HeldSession> {
  const applicationName = `rescore service, process ${process.pid} on ${hostname()}`
  const session = await openHeldSession({ url, applicationName, beat })
  try {
    const lock = mode === 'shared' ? 'pg_try_advisory_lock_shared' : 'pg_try_advisory_lock'
    const { rows } = await session.query<{ taken: boolean }>(`select ${lock}($1) as taken`, [ADVISORY_LOCK.service])
    if (rows[0]?.taken === true) return session
    const holder = await session.query<{ holder: string }>(
      `select format('%s (backend %s)', a.application_name, a.pid) as holder
       from pg_locks l join pg_stat_activity a using (pid)
       where l.locktype = 'advisory' and l.granted and (l.classid::bigint << 32) + l.objid::bigint = $1
         and l.database = (select oid from pg_database where datname = current_database())`,
      [ADVISORY_LOCK.service],
    )
    throw heldBy(holder.rows[0]?.holder ?? 'it has just ended; start again')
  } catch (error) {
    await session.end()
    throw error
  }
}

export interface Lease {
  /** Holds the lease until the signal aborts; takes it again when the connection is lost. @throws DB_LEASE_HELD */
  keep(signal: AbortSignal): Promise<void>
}

/** A killed service's session ends a moment after it: this long a new one waits before it believes in another. */
const PATIENCE_MS = 5_000

async function takePatiently(url: string, signal: AbortSignal, options: LeaseOptions): Promise<HeldSession> {
  const deadline = Date.now() + (options.patienceMs ?? PATIENCE_MS)
  const backoff = new Backoff({ baseMs: 20, maxMs: 500 })
  for (;;) {
    try {
      return await take(url, options)
    } catch (error) {
      const isHeld = isRescoreError(error) && error.code === 'DB_LEASE_HELD'
      if (!isHeld || Date.now() > deadline) throw error
      await backoff.wait(signal)
    }
  }
}

/** @throws RescoreError DB_LEASE_HELD when another service holds it */
export async function acquireLease(url: string, signal: AbortSignal, options: LeaseOptions = {}): Promise<Lease> {
  let session = await takePatiently(url, signal, options)
  return {
    keep: async (signal) => {
      const backoff = new Backoff({ baseMs: 50, maxMs: 5_000 })
      while (!signal.aborted) {
        await aborted(AbortSignal.any([session.lost, signal]))
        if (signal.aborted) break
        await session.end()
        await backoff.wait(signal).catch(() => undefined)
        try {
          session = await take(url, options)
          backoff.reset()
        } catch (error) {
          if (!isRetriableDbError(asError(error))) throw error
        }
      }
      await session.end()
    },
  }
}
