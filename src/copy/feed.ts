/**
 * One replication connection to the source as a queue of decoded messages, taken at the reader's pace.
 *
 * Invariants: the slot is told only what `confirm` was given; what is not taken yet is bounded, then the socket is paused;
 * nothing of a connection outlives it. A crash loses only what the source sends again.
 */
import { type Decoded, PgoutputDecoder } from '../capture/pgoutput.ts'
import { openSession, type Session } from '../capture/session.ts'
import { parseDatabaseUrl } from '../db/pool.ts'

const MAX_QUEUED_BYTES = 8 * 1_048_576
const MESSAGE_BYTES = 64

export interface FeedOptions {
  readonly url: string
  readonly slot: string
  readonly publication: string
  readonly signal: AbortSignal
  /** Up to where rows have landed. */
  readonly confirmed: bigint
  /** Columns whose values are decoded, by table; a table that is not in it is decoded whole. */
  readonly values: ReadonlyMap<string, ReadonlySet<string>>
}

export class Feed implements AsyncDisposable {
  readonly #session: Session
  readonly #ending = new AbortController()
  #queue: Decoded[] = []
  #bytes = 0
  #isPaused = false
  #wake = Promise.withResolvers<void>()
  #confirmed: bigint
  #failure: { readonly error: unknown } | null = null
  /** End of the source's log up to which all has been sent, from its last keep-alive. */
  sentUpTo = 0n

  constructor({ url, slot, publication, signal, confirmed, values }: FeedOptions) {
    this.#confirmed = confirmed
    const decoder = new PgoutputDecoder(values)
    this.#session = openSession({
      connection: parseDatabaseUrl(url),
      slot,
      publication,
      signal: AbortSignal.any([signal, this.#ending.signal]),
      statusEveryMs: 5_000,
      silenceMs: 60_000,
      confirmed: () => this.#confirmed,
      onMessage: (message) => this.#take(decoder.decode(message)),
      onKeepAlive: (walEnd) => {
        this.sentUpTo = walEnd
        this.#wake.resolve()
      },
    })
    this.#session.ended.then(
      () => this.#fail(signal.reason ?? new Error('The replication connection has ended.')),
      (error: unknown) => this.#fail(error),
    )
  }

  #take(decoded: Decoded): void {
    if (decoded.kind === 'none') return
    this.#queue.push(decoded)
    this.#bytes += decoded.kind === 'entries' ? decoded.bytes : MESSAGE_BYTES
    if (this.#bytes > MAX_QUEUED_BYTES && !this.#isPaused) {
      this.#isPaused = true
      this.#session.pause()
    }
    this.#wake.resolve()
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    this.#wake.resolve()
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0
  }

  /** What has come, in order; empty when nothing has within `waitMs`. @throws what ended the connection */
  async take(waitMs: number): Promise<readonly Decoded[]> {
    if (this.#queue.length === 0 && this.#failure === null) {
      const late = Promise.withResolvers<void>()
      const timer = setTimeout(() => {
        // The sender may have missed a commit made while it went to sleep: any word from here wakes it. Not after each
        // keep-alive: it answers with another one.
        this.#session.sendStatus()
        late.resolve()
      }, waitMs)
      await Promise.race([this.#wake.promise, late.promise])
      clearTimeout(timer)
    }
    this.#wake = Promise.withResolvers<void>()
    if (this.#failure !== null) throw this.#failure.error
    const taken = this.#queue
    this.#queue = []
    this.#bytes = 0
    if (this.#isPaused) {
      this.#isPaused = false
      this.#session.resume()
    }
    return taken
  }

  /** @param lsn end of a commit of which, and of all before, every row has landed */
  confirm(lsn: bigint): void {
    if (lsn <= this.#confirmed) return
    this.#confirmed = lsn
    this.#session.sendStatus()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new Error('The pass is over.'))
    // It rejects with what `take` has thrown already.
    await this.#session.ended.catch(() => undefined)
  }
}
