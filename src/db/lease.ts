/**
 * One running service per database: a session-level advisory lock on a connection of its own.
 *
 * On the embedded log one service does all the work. Over Kafka any number of processes share it, each with a share of
 * the lease, so the two ways never run at once; what there is one of among them is in leader.ts.
 * Invariant: the lease only keeps two services from doing the same work twice; that nothing goes wrong when it fails
 * (a zombie, a restarted server) is held by the compare-and-set of stage positions. A crash frees it with the session.
 */
import { hostname } from 'node:os'
import { asError, isRescoreError, RescoreError } from '../errors.ts'
import { Backoff } from './backoff.ts'
import { ADVISORY_LOCK } from './locks.ts'
import { createClient, isRetriableDbError } from './pool.ts'

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

/** Takes the lease and resolves with the session that holds it. @throws RescoreError DB_LEASE_HELD */
async function take(url: string, mode: LeaseMode): Promise<ReturnType<typeof createClient>> {
  const client = createClient({ url, applicationName: `rescore service, process ${process.pid} on ${hostname()}` })
  // Kept until the caller attaches its own: an error event without a listener ends the process.
  client.on('error', () => undefined)
  try {
    await client.connect()
    const lock = mode === 'shared' ? 'pg_try_advisory_lock_shared' : 'pg_try_advisory_lock'
    const { rows } = await client.query<{ taken: boolean }>(`select ${lock}($1) as taken`, [ADVISORY_LOCK.service])
    if (rows[0]?.taken === true) return client
    const holder = await client.query<{ holder: string }>(
      `select format('%s (backend %s)', a.application_name, a.pid) as holder
       from pg_locks l join pg_stat_activity a using (pid)
       where l.locktype = 'advisory' and l.granted and (l.classid::bigint << 32) + l.objid::bigint = $1
         and l.database = (select oid from pg_database where datname = current_database())`,
      [ADVISORY_LOCK.service],
    )
    throw heldBy(holder.rows[0]?.holder ?? 'it has just ended; start again')
  } catch (error) {
    await client.end()
    throw error
  }
}

export interface Lease {
  /** Holds the lease until the signal aborts; takes it again when the connection is lost. @throws DB_LEASE_HELD */
  keep(signal: AbortSignal): Promise<void>
}

/** A killed service's session ends a moment after it: this long a new one waits before it believes in another. */
const PATIENCE_MS = 5_000

async function takePatiently(
  url: string,
  signal: AbortSignal,
  patienceMs: number,
  mode: LeaseMode,
): Promise<ReturnType<typeof createClient>> {
  const deadline = Date.now() + patienceMs
  const backoff = new Backoff({ baseMs: 20, maxMs: 500 })
  for (;;) {
    try {
      return await take(url, mode)
    } catch (error) {
      const isHeld = isRescoreError(error) && error.code === 'DB_LEASE_HELD'
      if (!isHeld || Date.now() > deadline) throw error
      await backoff.wait(signal)
    }
  }
}

/** @throws RescoreError DB_LEASE_HELD when another service holds it */
export async function acquireLease(
  url: string,
  signal: AbortSignal,
  { patienceMs = PATIENCE_MS, mode = 'alone' }: { readonly patienceMs?: number; readonly mode?: LeaseMode } = {},
): Promise<Lease> {
  let session = await takePatiently(url, signal, patienceMs, mode)
  return {
    keep: async (signal) => {
      const backoff = new Backoff({ baseMs: 50, maxMs: 5_000 })
      while (!signal.aborted) {
        await lostOrAborted(session, signal)
        if (signal.aborted) break
        await backoff.wait(signal).catch(() => undefined)
        try {
          session = await take(url, mode)
          backoff.reset()
        } catch (error) {
          if (!isRetriableDbError(asError(error))) throw error
        }
      }
      await session.end()
    },
  }
}

/** Resolves when the session has ended or the signal aborts. */
export function lostOrAborted(session: ReturnType<typeof createClient>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = () => {
      signal.removeEventListener('abort', done)
      session.removeListener('end', done)
      resolve()
    }
    signal.addEventListener('abort', done, { once: true })
    session.once('end', done)
  })
}
