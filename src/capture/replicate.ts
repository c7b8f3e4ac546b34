/**
 * The loop around a slot that every capture shares: connect, hand messages over, confirm what is finished, connect again.
 *
 * Invariants. The slot is told only (a) the end of a commit the intake has finished, or (b) a keep-alive's end of WAL
 * while nothing is in flight anywhere. An LSN is written to rescore.capture, durably, before the slot is told: so a slot
 * moved by anyone else is recognised, and everything the stages committed before is on disk too. Nothing of a connection
 * outlives it, and the database is recognised anew before each one. After a crash the server sends again everything not
 * confirmed.
 */
import { aborted, Backoff, sleep } from '../db/backoff.ts'
import { formatLsn } from '../db/lsn.ts'
import { isRetriableDbError, type Pool, parseDatabaseUrl, sqlState } from '../db/pool.ts'
import { isRescoreError, RescoreError } from '../errors.ts'
import { isPlanted } from '../faults.ts'
import { openSession, type Session } from './session.ts'
import { publicationLost, recognise } from './slot.ts'

/**
 * WAL that holds nothing of ours is confirmed in steps of this. Our own note is WAL too, some hundred bytes to a few
 * pages: without the step an idle system would confirm its own notes for ever. This is all it costs in retained WAL.
 */
const IDLE_STEP_BYTES = 1_048_576n

export interface SlotOptions {
  readonly pool: Pool
  readonly url: string
  readonly slot: string
  readonly publication: string
  readonly signal: AbortSignal
  /** How often what is confirmable is written down and told to the slot at most. */
  readonly confirmEveryMs?: number
  /** At most this long between two status frames to the server. */
  readonly statusEveryMs?: number
  /** Silence of the server after which the connection counts as dead. */
  readonly silenceMs?: number
  readonly onError?: (error: unknown, retryInMs: number) => void
  /** Named points where crash tests kill the process. */
  readonly faults?: { hit(name: string): Promise<void> | void }
}

/** Stops and starts the reading of the socket. */
export type Valve = Pick<Session, 'pause' | 'resume'>

/** What takes the messages of one connection; made anew for each. */
export interface Intake {
  /** Called in the tick a message arrives; may throw, which ends the connection. */
  take(message: Buffer): void
  /** What is done beside the socket, until the signal aborts or it fails. */
  work(over: AbortSignal): Promise<void>
  /** End of the last commit that is finished; 0n before the first. */
  finishedLsn(): bigint
  /** True when nothing received is unfinished and no transaction is open. */
  isIdle(): boolean
  /** End of the last commit received. */
  readonly receivedLsn: bigint
  /** Called when the signal aborts, with the socket paused: what is then finished is confirmed before the end. */
  drain?(): Promise<void>
}

interface Connection {
  readonly session: Session
  readonly intake: Intake
  /** The server's end of WAL in the last keep-alive. */
  keepAlive: bigint
}

export class Replication {
  readonly #options: SlotOptions
  readonly #open: (valve: Valve) => Intake
  #confirmed = 0n

  constructor(options: SlotOptions, open: (valve: Valve) => Intake) {
    this.#options = options
    this.#open = open
  }

  /** Runs until the signal aborts; connects again after any failure worth it. @throws errors of fate `stop` */
  async run(): Promise<void> {
    const { signal, onError } = this.#options
    const backoff = new Backoff({ baseMs: 50, maxMs: 5_000 })
    while (!signal.aborted) {
      const startedMs = Date.now()
      try {
        await this.#connectOnce()
      } catch (thrown) {
        if (signal.aborted) return
        const error = this.#explained(thrown)
        if (!isWorthRepeating(error)) throw error
        if (Date.now() - startedMs > 30_000) backoff.reset()
        const delayMs = backoff.nextDelayMs()
        onError?.(error, delayMs)
        // Rejects only when the signal aborts, which the loop's condition sees.
        await sleep(delayMs, signal).catch(() => undefined)
      }
    }
  }

  async #connectOnce(): Promise<void> {
    const { pool, slot, signal } = this.#options
    this.#confirmed = (await recognise(pool, slot)).confirmedLsn
    const ending = new AbortController()
    const over = AbortSignal.any([signal, ending.signal])
    const leaving = new AbortController()
    if (signal.aborted) leaving.abort(signal.reason)
    const connection = this.#connect(leaving.signal)
    const { session, intake } = connection
    const parts = [intake.work(over), this.#confirmRegularly(connection, over), this.#leave(connection, over, leaving)]
    // Whatever ends first ends the others, and all have ended before the next connection: two of them would interleave.
    const guarded = parts.map((part) => part.catch((error: unknown) => session.fail(error)))
    try {
      await session.ended
    } finally {
      ending.abort(new Error('The replication connection ended.'))
      await Promise.all(guarded)
    }
  }

  /** The end that was asked for: what is in flight first, then the connection. */
  async #leave(connection: Connection, over: AbortSignal, leaving: AbortController): Promise<void> {
    await aborted(over)
    try {
      // Otherwise the connection is gone already.
      if (!this.#options.signal.aborted || connection.intake.drain === undefined) return
      connection.session.pause()
      await connection.intake.drain()
      await this.#confirm(connection)
    } finally {
      leaving.abort(over.reason)
    }
  }

  #connect(signal: AbortSignal): Connection {
    const { url, slot, publication, statusEveryMs = 10_000, silenceMs = 120_000 } = this.#options
    const valve: Valve = { pause: () => session.pause(), resume: () => session.resume() }
    const intake = this.#open(valve)
    const session: Session = openSession({
      connection: parseDatabaseUrl(url),
      slot,
      publication,
      signal,
      statusEveryMs,
      silenceMs,
      confirmed: () => this.#confirmed,
      onMessage: (message) => intake.take(message),
      onKeepAlive: (walEnd) => {
        connection.keepAlive = walEnd
      },
    })
    const connection: Connection = { session, intake, keepAlive: 0n }
    return connection
  }

  async #confirmRegularly(connection: Connection, over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      // Rejects only when the connection is over, which the loop's condition sees.
      await sleep(this.#options.confirmEveryMs ?? 1_000, over).catch(() => undefined)
      if (!over.aborted) await this.#confirm(connection)
    }
  }

  async #confirm(connection: Connection): Promise<void> {
    const { pool, slot, faults } = this.#options
    const candidate = this.#confirmable(connection)
    if (candidate <= this.#confirmed) return
    await faults?.hit('before-confirm')
    // Flushed even where commits are asynchronous: this flush takes along all that the stages committed before.
    const { rowCount } = await pool.query(
      `update rescore.capture set confirmed_lsn = greatest(confirmed_lsn, $1), heartbeat_at = clock_timestamp()
       where exists (select from pg_publication where pubname = publication) and set_config('synchronous_commit', case current_setting('synchronous_commit') when 'off' then 'local'
                        else current_setting('synchronous_commit') end, true) <> ''`,
      [formatLsn(candidate)],
    )
    if (rowCount === 0) throw publicationLost(slot)
    this.#confirmed = candidate
    connection.session.sendStatus()
    await faults?.hit('after-confirm')
  }

  /** Decided in one tick, so that nothing arrives between the question and its answer. */
  #confirmable({ intake, keepAlive }: Connection): bigint {
    const finished = intake.finishedLsn()
    if (isPlanted('confirm-too-early')) return intake.receivedLsn
    if (finished > this.#confirmed) return finished
    if (!intake.isIdle() && !isPlanted('keep-alive-always')) return finished
    return keepAlive - this.#confirmed >= IDLE_STEP_BYTES ? keepAlive : finished
  }

  /** A slot that went away under a running stream says so only by an SQLSTATE. */
  #explained(error: unknown): unknown {
    const code = sqlState(error)
    if (code !== '42704' && code !== '55000') return error
    return new RescoreError({
      code: 'CAPTURE_SLOT_LOST',
      fate: 'stop',
      message: `PostgreSQL no longer streams from the slot '${this.#options.slot}' with the publication '${this.#options.publication}'.`,
      mend: 'Start again: the start tells what is missing. If it is the slot, `rescore resync` makes a new one.',
      cause: error,
    })
  }
}

function isWorthRepeating(error: unknown): boolean {
  if (isRescoreError(error)) return error.fate === 'retry'
  // object_in_use: the walsender of a connection that was cut lives on until the server notices.
  return isRetriableDbError(error) || sqlState(error) === '55006'
}
