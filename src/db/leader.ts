/**
 * What there is one of among processes that share the work: capture, each connector, the sweeps of a stage.
 *
 * Invariants: the role is a session-level advisory lock on a session that ends when its process stands still
 * (held-session.ts); its work is aborted as soon as that session is lost, and has ended before the role is asked for
 * again. A crash frees the role with the session, and a stand-by, which asks once in a while, takes over. That nothing
 * goes wrong while a leader that lost its session has not noticed yet is held elsewhere: by the slot, which one reads at
 * a time, and by the compare-and-set of positions and checkpoints. Asking does not wait inside PostgreSQL: a session that
 * waits there holds back its clean-up.
 */
import { hostname } from 'node:os'
import { Backoff, sleep } from './backoff.ts'
import { type Beat, type HeldSession, openHeldSession } from './held-session.ts'
import { ROLE_LOCK_CLASS } from './locks.ts'
import { isRetriableDbError } from './pool.ts'

const ASK_EVERY_MS = 1_000

/** `stand-by`: another process holds it; `none`: given up or lost, or PostgreSQL cannot be asked. */
export type RoleState = 'leader' | 'stand-by' | 'none'

/** `lost` aborts when another may lead; `isSure` says so of this moment, also right after the process stood still. */
export type HeldRole = Pick<HeldSession, 'lost' | 'isSure'>
/** `signal` aborts when the work is to end, for whatever reason. */
export type LeaderWork = (signal: AbortSignal, role: HeldRole) => Promise<void>

export interface LeaderOptions {
  readonly askEveryMs?: number
  readonly beat?: Beat
  /** Told before the work begins, after it has ended, and each time the role was asked for in vain. */
  readonly onRole?: (state: RoleState) => void
}

/**
 * Runs `work` whenever this process holds the role, until the signal aborts or `work` resolves by itself.
 * @throws what `work` throws
 */
export async function runAsLeader(
  url: string,
  role: string,
  signal: AbortSignal,
  work: LeaderWork,
  { askEveryMs = ASK_EVERY_MS, beat, onRole = () => undefined }: LeaderOptions = {},
): Promise<void> {
  const backoff = new Backoff({ baseMs: 50, maxMs: 5_000 })
  while (!signal.aborted) {
    try {
      if ((await holdOnce({ url, role, signal, beat, onRole }, work)) === 'done') return
      backoff.reset()
      // Rejects only when the signal aborts, which the loop's condition sees.
      await sleep(askEveryMs, signal).catch(() => undefined)
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error
      onRole('none')
      await backoff.wait(signal).catch(() => undefined)
    }
  }
}

class ConnectionLost extends Error {}

interface Candidacy {
  readonly url: string
  readonly role: string
  readonly signal: AbortSignal
  readonly beat: Beat | undefined
  readonly onRole: (state: RoleState) => void
}

async function ask({ url, role, beat }: Candidacy): Promise<{ session: HeldSession; isTaken: boolean }> {
  const applicationName = `rescore ${role}, process ${process.pid} on ${hostname()}`
  let session: HeldSession | undefined
  try {
    session = await openHeldSession({ url, applicationName, beat })
    const { rows } = await session.query<{ taken: boolean }>(
      'select pg_try_advisory_lock($1::integer, hashtext($2)) as taken',
      [ROLE_LOCK_CLASS, role],
    )
    return { session, isTaken: rows[0]?.taken === true }
  } catch (error) {
    await session?.end()
    throw isRetriableDbError(error) ? new ConnectionLost('The session for a role was lost.', { cause: error }) : error
  }
}

/** `done`: the work ended by itself. */
async function holdOnce(candidacy: Candidacy, work: LeaderWork): Promise<'done' | 'over'> {
  const { signal, onRole } = candidacy
  const { session, isTaken } = await ask(candidacy)
  const { lost } = session
  try {
    if (signal.aborted) return 'over'
    onRole(isTaken ? 'leader' : 'stand-by')
    if (!isTaken) return 'over'
    try {
      await work(AbortSignal.any([signal, lost]), session)
      return lost.aborted || signal.aborted ? 'over' : 'done'
    } catch (error) {
      if (lost.aborted && !signal.aborted) return 'over'
      throw error
    } finally {
      onRole('none')
    }
  } finally {
    await session.end()
  }
}
