/**
 * Transactions of a batch and the snapshot it is handled in.
 *
 * A commit is in the write-ahead log, and so decoded, a moment before new snapshots see it (long, where it waits for a
 * synchronous standby). Invariants: work begins only in a snapshot in which every transaction of the batch is visible;
 * `snapshotLsn` was read before that snapshot was taken; what could not be committed is an error, never silence.
 */
import { sleep } from '../db/backoff.ts'
import { parseLsn } from '../db/lsn.ts'
import type { Client, Pool } from '../db/pool.ts'
import { asError, RescoreError } from '../errors.ts'
import { isPlanted } from '../faults.ts'
import { type Clock, tellSql } from './clock.ts'
import type { ApplyContext } from './stage.ts'

const HALF_OF_XIDS = 2n ** 31n
const ALL_XIDS = 2n ** 32n

/** The 64-bit id that ends in these 32 bits and is nearest to the snapshot: the stream carries no epoch. */
export function fullXid(xid: number, near: bigint): bigint {
  const full = (near / ALL_XIDS) * ALL_XIDS + BigInt(xid)
  if (full > near + HALF_OF_XIDS) return full - ALL_XIDS
  if (full + HALF_OF_XIDS < near) return full + ALL_XIDS
  return full
}

/** A snapshot: which transactions, of those committed, are visible in it. 64-bit ids. */
export interface Snapshot {
  /** Everything below is visible. */
  readonly first: bigint
  /** Nothing from here on is. */
  readonly after: bigint
  readonly running: ReadonlySet<bigint>
}

/** @param text `xmin:xmax:running,…` as pg_current_snapshot prints it */
export function parseSnapshot(text: string): Snapshot {
  const [xmin = '0', xmax = '0', running = ''] = text.split(':')
  const ids = running === '' ? [] : running.split(',').map(BigInt)
  return { first: BigInt(xmin), after: BigInt(xmax), running: new Set(ids) }
}

/** @param xid 64 bits, of a committed transaction (fullXid) */
export function isVisible({ first, after, running }: Snapshot, xid: bigint): boolean {
  return xid < first || (xid < after && !running.has(xid))
}

/** `xids`: 32 bits each, of committed transactions. */
export function areVisible(snapshot: string, xids: readonly number[]): boolean {
  const parsed = parseSnapshot(snapshot)
  return xids.every((xid) => isVisible(parsed, fullXid(xid, parsed.after)))
}

export interface SnapshotOptions {
  readonly pool: Pool
  readonly signal: AbortSignal
  /** After this the wait is given up, to be said and repeated. Default 10 s. */
  readonly visibleWithinMs?: number | undefined
  /** `set local` statements for the transaction, each ended by a semicolon. */
  readonly settings?: string | undefined
  /** READ COMMITTED, for stages that processes share: what is visible at its start is visible to all its statements. */
  readonly isShared?: boolean
  /** The work reads the time. */
  readonly isTimed?: boolean | undefined
  /** Instead of the database's. */
  readonly clock?: Clock | undefined
}

/** A process stopped in the middle (a debugger, SIGSTOP) must not keep from the others for long what it holds. */
const SHARED = `begin isolation level read committed; set local idle_in_transaction_session_timeout = '20s';`
const ALONE = 'begin isolation level repeatable read;'

/** Runs `work` in a transaction, REPEATABLE READ by default, in which all `xids` are visible, and commits it. */
export async function inVisibleSnapshot<T>(
  options: SnapshotOptions,
  xids: readonly number[],
  work: (context: ApplyContext) => Promise<T>,
): Promise<T> {
  const { pool, signal, visibleWithinMs = 10_000, isShared = false } = options
  const client = await pool.connect()
  let failure: Error | undefined
  try {
    const begin = { text: () => beginSql(options), signal, withinMs: visibleWithinMs }
    const result = await work({ client, ...(await beginVisible(client, xids, begin)), signal, isShared })
    const { command } = await client.query('commit')
    // PostgreSQL answers the commit of a failed transaction with a rollback, and no error.
    if (command !== 'COMMIT') throw rolledBack()
    return result
  } catch (error) {
    failure = asError(error)
    throw error
  } finally {
    // A failed transaction may be in any state: the connection is given up rather than mended.
    client.release(failure)
  }
}

/**
 * One round trip. The LSN is read in a transaction of its own, because a transaction takes its snapshot before it
 * computes what is selected. The mark of the time need not wait for the disk: whatever comes of it does, behind it.
 */
function beginSql({ isShared = false, settings = '', isTimed = false, clock }: SnapshotOptions): string {
  const told = `begin; ${isTimed ? 'set local synchronous_commit = off;' : ''} ${tellSql(clock, isTimed)}; commit;`
  return `${told} ${isShared ? SHARED : ALONE} ${settings} select pg_current_snapshot()::text as snapshot`
}

async function beginVisible(
  client: Client,
  xids: readonly number[],
  { text, signal, withinMs }: { readonly text: () => string; readonly signal: AbortSignal; readonly withinMs: number },
): Promise<Pick<ApplyContext, 'snapshotLsn' | 'nowMs'>> {
  const deadline = performance.now() + withinMs
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 200)) {
    const answers = await client.query<{ lsn?: string; now?: number; snapshot?: string }>(text())
    // An array, one result a statement; the driver's types know of one statement only.
    const rows = [answers].flat().flatMap((answer) => answer.rows)
    const snapshot = rows.find((row) => row.snapshot !== undefined)?.snapshot ?? ''
    if (areVisible(snapshot, xids) || isPlanted('visibility-not-checked')) {
      const told = rows.find((row) => row.lsn !== undefined)
      return { snapshotLsn: parseLsn(told?.lsn ?? '0/0'), nowMs: told?.now ?? 0 }
    }
    await client.query('rollback')
    if (performance.now() > deadline) throw notVisible(withinMs)
    await sleep(pauseMs, signal)
  }
}

function rolledBack(): RescoreError {
  return new RescoreError({
    code: 'LOG_ROLLED_BACK',
    fate: 'retry',
    message: 'PostgreSQL rolled a batch back at its commit, because a statement before had failed.',
    mend: 'The batch is repeated; if it recurs, report it: an error was swallowed inside a stage.',
  })
}

function notVisible(withinMs: number): RescoreError {
  return new RescoreError({
    code: 'LOG_NOT_VISIBLE',
    fate: 'retry',
    message: `A transaction that is in the write-ahead log was not visible within ${withinMs / 1000} s.`,
    mend: 'Its commit most likely waits for a synchronous standby (pg_stat_replication); it is tried again until then.',
  })
}
