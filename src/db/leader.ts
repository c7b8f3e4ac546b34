/**
 * What there is one of among processes that share the work: capture, each connector, the sweeps of a stage.
 *
 * Invariants: the role is a session-level advisory lock on a connection of its own; its work is aborted as soon as that
 * session is lost, and has ended before the role is asked for again. A crash frees the role with the session, and a
 * stand-by, which asks once in a while, takes over. That nothing goes wrong while a leader that lost its session has not
 * noticed yet is held elsewhere: by the slot, which one reads at a time, and by the compare-and-set of positions and
 * checkpoints. Asking does not wait inside PostgreSQL: a session that waits there holds back its clean-up.
 */
import { hostname } from 'node:os'
import { Backoff, sleep } from './backoff.ts'
import { lostOrAborted } from './lease.ts'
import { ROLE_LOCK_CLASS } from './locks.ts'
import { createClient, isRetriableDbError } from './pool.ts'

const ASK_EVERY_MS = 1_000

/** `stand-by`: another process holds it; `none`: given up or lost, or PostgreSQL cannot be asked. */
export type RoleState = 'leader' | 'stand-by' | 'none'

export interface LeaderOptions {
  readonly askEveryMs?: number
  /** Told before the work begins, after it has ended, and each time the role was asked for in vain. */
  readonly onRole?: (state: RoleState) => void
}

/**
 * Runs `work` whenever this process holds the role, until the signal aborts or `work` resolves by itself.
 * @param work gets a signal that also aborts when the role is lost @throws what `work` throws
 */
export async function runAsLeader(
  url: string,
  role: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<void>,
  { askEveryMs = ASK_EVERY_MS, onRole = () => undefined }: LeaderOptions = {},
): Promise<void> {
  const backoff = new Backoff({ baseMs: 50, maxMs: 5_000 })
  while (!signal.aborted) {
    try {
      if ((await holdOnce(url, role, signal, work, onRole)) === 'done') return
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

async function ask(session: ReturnType<typeof createClient>, role: string): Promise<boolean> {
  try {
    await session.connect()
    const { rows } = await session.query<{ taken: boolean }>(
      'select pg_try_advisory_lock($1::integer, hashtext($2)) as taken',
      [ROLE_LOCK_CLASS, role],
    )
    return rows[0]?.taken === true
  } catch (error) {
    throw isRetriableDbError(error) ? new ConnectionLost('The session for a role was lost.', { cause: error }) : error
  }
}

/** `done`: the work ended by itself. */
async function holdOnce(
  url: string,
  role: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<void>,
  onRole: (state: RoleState) => void,
): Promise<'done' | 'over'> {
  const applicationName = `rescore ${role}, process ${process.pid} on ${hostname()}`
  const session = createClient({ url, applicationName })
  // The end of the session is what counts; without a listener its error would end the process.
  session.on('error', () => undefined)
  try {
    const isTaken = await ask(session, role)
    if (signal.aborted) return 'over'
    onRole(isTaken ? 'leader' : 'stand-by')
    if (!isTaken) return 'over'
    const ending = new AbortController()
    const watching = lostOrAborted(session, AbortSignal.any([signal, ending.signal])).then(() =>
      ending.abort(new Error(`The role '${role}' has ended.`)),
    )
    try {
      await work(AbortSignal.any([signal, ending.signal]))
      return ending.signal.aborted || signal.aborted ? 'over' : 'done'
    } catch (error) {
      if (ending.signal.aborted && !signal.aborted) return 'over'
      throw error
    } finally {
      onRole('none')
      ending.abort(new Error('The work has ended.'))
      await watching
    }
  } finally {
    await session.end()
  }
}
