/**
 * Capture: reads the slot, puts changes into the log, and confirms what the log has let go.
 *
 * Invariants. The slot is told only (a) the end of a commit every stage has finished, or (b) a keep-alive's end of WAL
 * while nothing is in flight anywhere. An LSN is written to rescore.capture before the slot is told, so that a slot moved
 * by anyone else is recognised at the next start. After a crash the server sends again everything not confirmed.
 */
import { Backoff, sleep } from '../db/backoff.ts'
import { formatLsn } from '../db/lsn.ts'
import { isRetriableDbError, type Pool, parseDatabaseUrl } from '../db/pool.ts'
import { isRescoreError } from '../errors.ts'
import type { Chunk, Entry, Log } from '../log/log.ts'
import { comparePositions, END_OF_TRANSACTION, type Position, START } from '../log/position.ts'
import { type Decoded, PgoutputDecoder } from './pgoutput.ts'
import { openSession, type Session } from './session.ts'

const MAX_CHUNK_ENTRIES = 1_000
const MAX_CHUNK_BYTES = 1_048_576
/** Decoded but not yet in the log: beyond this the socket is paused. */
const MAX_PENDING_BYTES = 8 * 1_048_576

export interface CaptureOptions {
  readonly pool: Pool
  readonly url: string
  readonly slot: string
  readonly publication: string
  readonly log: Log
  readonly signal: AbortSignal
  /** How often what is confirmable is written down and told to the slot at most. */
  readonly confirmEveryMs?: number
  /** The same for WAL that holds nothing of ours. */
  readonly idleConfirmEveryMs?: number
  readonly statusEveryMs?: number
  readonly silenceMs?: number
  readonly onError?: (error: unknown, retryInMs: number) => void
  /** Named points where crash tests kill the process. */
  readonly faults?: { hit(name: string): Promise<void> | void }
}

/** Collects decoded messages into chunks: whole small transactions together, large ones in pieces. */
class Assembler {
  readonly #ready: Chunk[] = []
  #entries: Entry[] = []
  #bytes = 0
  #commit: Chunk['commit'] = null
  #end: Position = START
  #committedAtMs = 0
  pendingBytes = 0

  add(decoded: Decoded): void {
    if (decoded.kind === 'entries') {
      for (const entry of decoded.entries) this.#entries.push(entry)
      const last = decoded.entries.at(-1)
      if (last !== undefined) {
        this.#end = last.position
        this.#committedAtMs = last.committedAtMs
      }
      this.#bytes += decoded.bytes
      this.pendingBytes += decoded.bytes
      if (this.#entries.length >= MAX_CHUNK_ENTRIES || this.#bytes >= MAX_CHUNK_BYTES) this.#close()
    } else if (decoded.kind === 'commit') {
      this.#commit = { lsn: decoded.lsn, endLsn: decoded.endLsn }
      this.#end = { lsn: decoded.lsn, index: END_OF_TRANSACTION }
      this.#committedAtMs = decoded.committedAtMs
    }
  }

  take(): Chunk | undefined {
    if (this.#ready.length === 0) this.#close()
    return this.#ready.shift()
  }

  /** The chunk is in the log now, and no longer pending here. */
  handedOver(chunk: Chunk): void {
    this.pendingBytes -= chunk.bytes
  }

  #close(): void {
    if (this.#entries.length === 0 && this.#commit === null) return
    this.#ready.push({
      entries: this.#entries,
      end: this.#end,
      commit: this.#commit,
      committedAtMs: this.#committedAtMs,
      bytes: this.#bytes,
    })
    this.#entries = []
    this.#bytes = 0
    this.#commit = null
  }
}

export class Capture {
  readonly #options: CaptureOptions
  /** The last thing the log took: what a new connection sends again up to here is passed over. */
  #appended: Position = START
  #confirmed = 0n
  #keepAlive = 0n
  #notedMs = 0

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
      } catch (error) {
        if (signal.aborted) return
        if (isRescoreError(error) ? error.fate !== 'retry' : !isRetriableDbError(error) && !isSlotBusy(error))
          throw error
        if (Date.now() - startedMs > 30_000) backoff.reset()
        const delayMs = backoff.nextDelayMs()
        onError?.(error, delayMs)
        // Rejects only when the signal aborts, which the loop's condition sees.
        await sleep(delayMs, signal).catch(() => undefined)
      }
    }
  }

  async #connectOnce(): Promise<void> {
    const { pool, url, slot, publication, signal } = this.#options
    const { rows } = await pool.query<{ confirmed: string }>(
      `select (confirmed_lsn - '0/0')::text as confirmed from rescore.capture`,
    )
    this.#confirmed = BigInt(rows[0]?.confirmed ?? '0')
    this.#keepAlive = 0n
    const decoder = new PgoutputDecoder()
    const assembler = new Assembler()
    const ending = new AbortController()
    const over = AbortSignal.any([signal, ending.signal])
    let wake = Promise.withResolvers<void>()
    const session: Session = openSession({
      connection: parseDatabaseUrl(url),
      slot,
      publication,
      signal,
      statusEveryMs: this.#options.statusEveryMs ?? 10_000,
      silenceMs: this.#options.silenceMs ?? 120_000,
      confirmed: () => this.#confirmed,
      onMessage: (message) => {
        assembler.add(decoder.decode(message))
        if (assembler.pendingBytes > MAX_PENDING_BYTES) session.pause()
        wake.resolve()
      },
      onKeepAlive: (walEnd) => {
        this.#keepAlive = walEnd
      },
    })
    const pump = async () => {
      while (!over.aborted) {
        await Promise.race([wake.promise, aborted(over)])
        wake = Promise.withResolvers<void>()
        for (let chunk = assembler.take(); chunk !== undefined; chunk = assembler.take()) {
          await this.#append(chunk, over)
          assembler.handedOver(chunk)
          if (assembler.pendingBytes < MAX_PENDING_BYTES / 2) session.resume()
        }
      }
    }
    const confirm = async () => {
      while (!over.aborted) {
        await Promise.race([
          aborted(over),
          new Promise((r) => setTimeout(r, this.#options.confirmEveryMs ?? 1_000).unref()),
        ])
        if (!over.aborted) await this.#confirm(session, decoder, assembler)
      }
    }
    try {
      await Promise.race([session.ended, pump(), confirm()])
      if (signal.aborted) await session.ended
    } finally {
      ending.abort(new Error('The replication connection ended.'))
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

  async #confirm(session: Session, decoder: PgoutputDecoder, assembler: Assembler): Promise<void> {
    const { log, pool, faults } = this.#options
    const nothingInFlight = log.isIdle() && !decoder.isInTransaction && assembler.pendingBytes === 0
    const candidate = nothingInFlight ? max(this.#keepAlive, log.confirmableLsn() ?? 0n) : (log.confirmableLsn() ?? 0n)
    if (candidate <= this.#confirmed) return
    // Our own note below is WAL too: without a pause an idle system would confirm its own notes for ever.
    const isOnlyIdleWal = (log.confirmableLsn() ?? 0n) <= this.#confirmed
    if (isOnlyIdleWal && Date.now() - this.#notedMs < (this.#options.idleConfirmEveryMs ?? 10_000)) return
    this.#notedMs = Date.now()
    await faults?.hit('before-confirm')
    await pool.query(
      'update rescore.capture set confirmed_lsn = greatest(confirmed_lsn, $1), heartbeat_at = clock_timestamp()',
      [formatLsn(candidate)],
    )
    this.#confirmed = candidate
    session.sendStatus()
    await faults?.hit('after-confirm')
  }
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** object_in_use: the walsender of a connection that was cut lives on until the server notices. */
function isSlotBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '55006'
}
