/**
 * Capture: reads the slot, puts changes into the log, and confirms what the log has let go.
 *
 * Invariants. The slot is told only (a) the end of a commit every stage has finished, or (b) a keep-alive's end of WAL
 * while nothing is in flight anywhere. An LSN is written to rescore.capture, durably, before the slot is told: so a slot
 * moved by anyone else is recognised, and everything the stages committed before is on disk too. Nothing of a connection
 * outlives it, and the database is recognised anew before each one. After a crash the server sends again everything not
 * confirmed.
 */
import { Backoff, sleep } from '../db/backoff.ts'
import { formatLsn } from '../db/lsn.ts'
import { isRetriableDbError, type Pool, parseDatabaseUrl } from '../db/pool.ts'
import { isRescoreError, RescoreError } from '../errors.ts'
import { isPlanted } from '../faults.ts'
import type { ValueColumns } from '../graph/value-columns.ts'
import type { Chunk, Log } from '../log/log.ts'
import { comparePositions, type Position, START } from '../log/position.ts'
import { Assembler } from './assembler.ts'
import { PgoutputDecoder } from './pgoutput.ts'
import { openSession, type Session } from './session.ts'
import { publicationLost, recognise } from './slot.ts'

/** Decoded but not yet in the log: beyond this the socket is paused. */
const MAX_PENDING_BYTES = 8 * 1_048_576
/**
 * WAL that holds nothing of ours is confirmed in steps of this. Our own note is WAL too, some hundred bytes to a few
 * pages: without the step an idle system would confirm its own notes for ever. This is all it costs in retained WAL.
 */
const IDLE_STEP_BYTES = 1_048_576n

export interface CaptureOptions {
  readonly pool: Pool
  readonly url: string
  readonly slot: string
  readonly publication: string
  readonly log: Log
  /** The columns whose values are put into the log, by table; a table that is not in it is taken whole. */
  readonly values?: ValueColumns
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

/** What belongs to one connection and ends with it. */
interface Connection {
  readonly session: Session
  readonly decoder: PgoutputDecoder
  readonly assembler: Assembler
  /** The server's end of WAL in the last keep-alive. */
  keepAlive: bigint
  /** End of the last commit received. */
  received: bigint
  /** Resolves when a message has arrived. */
  wake: PromiseWithResolvers<void>
}

export class Capture {
  readonly #options: CaptureOptions
  /** The last thing the log took: what a new connection sends again up to here is passed over. */
  #appended: Position = START
  #confirmed = 0n

  constructor(options: CaptureOptions) {
    this.#options = options
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
    const connection = this.#connect()
    const { session } = connection
    const parts = [this.#pump(connection, over), this.#confirmRegularly(connection, over)]
    // Whatever ends first ends the others, and all have ended before the next connection: two of them would interleave.
    const guarded = parts.map((part) => part.catch((error: unknown) => session.fail(error)))
    try {
      await session.ended
    } finally {
      ending.abort(new Error('The replication connection ended.'))
      connection.wake.resolve()
      await Promise.all(guarded)
    }
  }

  #connect(): Connection {
    const { url, slot, publication, signal, statusEveryMs = 10_000, silenceMs = 120_000 } = this.#options
    const decoder = new PgoutputDecoder(this.#options.values)
    const assembler = new Assembler()
    const session = openSession({
      connection: parseDatabaseUrl(url),
      slot,
      publication,
      signal,
      statusEveryMs,
      silenceMs,
      confirmed: () => this.#confirmed,
      onMessage: (message) => {
        const decoded = decoder.decode(message)
        if (decoded.kind === 'commit') connection.received = decoded.endLsn
        assembler.add(decoded)
        if (assembler.pendingBytes > MAX_PENDING_BYTES) session.pause()
        connection.wake.resolve()
      },
      onKeepAlive: (walEnd) => {
        connection.keepAlive = walEnd
      },
    })
    const connection: Connection = {
      session,
      decoder,
      assembler,
      keepAlive: 0n,
      received: 0n,
      wake: Promise.withResolvers<void>(),
    }
    return connection
  }

  /** Received messages into the log, at the pace the log takes them. */
  async #pump(connection: Connection, over: AbortSignal): Promise<void> {
    const { assembler, session } = connection
    while (!over.aborted) {
      await connection.wake.promise
      connection.wake = Promise.withResolvers<void>()
      for (let chunk = assembler.take(); chunk !== undefined && !over.aborted; chunk = assembler.take()) {
        await this.#append(chunk, over)
        assembler.handedOver(chunk)
        if (assembler.pendingBytes < MAX_PENDING_BYTES / 2) session.resume()
      }
    }
  }

  async #append(chunk: Chunk, signal: AbortSignal): Promise<void> {
    const { log, faults } = this.#options
    // A new connection sends whole transactions again; the log has them up to #appended already.
    const entries = chunk.entries.filter((entry) => comparePositions(entry.position, this.#appended) > 0)
    if (entries.length === 0 && comparePositions(chunk.end, this.#appended) <= 0) return
    await faults?.hit('before-append')
    await log.append({ ...chunk, entries }, signal)
    this.#appended = chunk.end
    await faults?.hit('after-append')
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
  #confirmable({ decoder, assembler, keepAlive, received }: Connection): bigint {
    const { log } = this.#options
    const finished = log.confirmableLsn() ?? 0n
    if (isPlanted('confirm-too-early')) return received
    if (finished > this.#confirmed) return finished
    const isInFlight = !log.isIdle() || decoder.isInTransaction || !assembler.isEmpty
    if (isInFlight && !isPlanted('keep-alive-always')) return finished
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

function sqlState(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

function isWorthRepeating(error: unknown): boolean {
  if (isRescoreError(error)) return error.fate === 'retry'
  // object_in_use: the walsender of a connection that was cut lives on until the server notices.
  return isRetriableDbError(error) || sqlState(error) === '55006'
}
