/**
 * The log inside the process: entries held in memory until every stage has acknowledged them.
 *
 * Invariants: entries are kept once, in position order; nothing is dropped before all stages acknowledged it; `append`
 * waits while more than `maxBytes` are held. A crash loses the whole log, which is right: the slot is confirmed only up
 * to `confirmableLsn`, so capture reads the rest again.
 */
import type { Batch, Chunk, Entry, Log } from '../log.ts'
import { comparePositions, END_OF_TRANSACTION, type Position, START } from '../position.ts'
import { Fifo } from './fifo.ts'
import { Waiters } from './waiters.ts'

export interface EmbeddedLogOptions {
  /** Every stage that must acknowledge, and the position it already stands at. */
  readonly stages: ReadonlyMap<string, Position>
  /** Default 32 MiB: measured as fast as 64, at 80 MB less of the process's memory. */
  readonly maxBytes?: number
}

interface StageCursor {
  /** Everything up to here is done, in this life or an earlier one. */
  done: Position
  /** Sequence number of the first entry not acknowledged. */
  next: number
}

interface Held {
  /** Sequence number after the last entry of the chunk. */
  readonly until: number
  readonly bytes: number
}

export class EmbeddedLog implements Log {
  readonly #maxBytes: number
  readonly #cursors: ReadonlyMap<string, StageCursor>
  readonly #entries = new Fifo<Entry>()
  readonly #held = new Fifo<Held>()
  readonly #commits = new Fifo<NonNullable<Chunk['commit']>>()
  readonly #waiters = new Waiters()
  /** Sequence number of the first entry held. */
  #first = 0
  #bytes = 0
  #lastCommit: { readonly lsn: bigint; readonly committedAtMs: number } | null = null
  #confirmable: bigint | null = null
  #waitingAppends = 0

  constructor({ stages, maxBytes = 16 * 1024 * 1024 }: EmbeddedLogOptions) {
    this.#maxBytes = maxBytes
    this.#cursors = new Map([...stages].map(([stage, done]) => [stage, { done, next: 0 }]))
  }

  async append(chunk: Chunk, signal: AbortSignal): Promise<void> {
    this.#waitingAppends += 1
    try {
      // One chunk larger than the bound still goes in when the log is empty: refusing it would stop for ever.
      while (this.#bytes > 0 && this.#bytes + chunk.bytes > this.#maxBytes) await this.#waiters.next(signal)
      signal.throwIfAborted()
    } finally {
      this.#waitingAppends -= 1
    }
    for (const entry of chunk.entries) this.#entries.push(entry)
    if (chunk.entries.length > 0) {
      this.#held.push({ until: this.#end, bytes: chunk.bytes })
      this.#bytes += chunk.bytes
    }
    if (chunk.commit !== null) {
      this.#commits.push(chunk.commit)
      this.#lastCommit = { lsn: chunk.commit.lsn, committedAtMs: chunk.committedAtMs }
    }
    for (const cursor of this.#cursors.values()) this.#advance(cursor)
    this.#release()
    this.#waiters.announce()
  }

  async next(
    stage: string,
    options: { maxEntries: number; waitMs: number; signal: AbortSignal },
  ): Promise<Batch | null> {
    const cursor = this.#cursor(stage)
    const deadline = performance.now() + options.waitMs
    for (;;) {
      options.signal.throwIfAborted()
      const batch = this.#batch(cursor, options.maxEntries)
      if (batch !== null) return batch
      const leftMs = deadline - performance.now()
      if (leftMs <= 0) return null
      await this.#waiters.next(options.signal, leftMs)
    }
  }

  acknowledge(stage: string, position: Position): void {
    const cursor = this.#cursor(stage)
    if (comparePositions(position, cursor.done) > 0) cursor.done = position
    this.#advance(cursor)
    this.#release()
    this.#waiters.announce()
  }

  confirmableLsn(): bigint | null {
    return this.#confirmable
  }

  isIdle(): boolean {
    return this.#entries.length === 0 && this.#waitingAppends === 0
  }

  backlog(stage: string): number {
    return this.#end - this.#cursor(stage).next
  }

  pendingSinceMs(stage: string): number | null {
    return this.#entries.at(this.#cursor(stage).next - this.#first)?.committedAtMs ?? null
  }

  /** Sequence number after the last entry held. */
  get #end(): number {
    return this.#first + this.#entries.length
  }

  #cursor(stage: string): StageCursor {
    const cursor = this.#cursors.get(stage)
    if (cursor === undefined) throw new TypeError(`Stage '${stage}' is not registered with the log.`)
    return cursor
  }

  #batch(cursor: StageCursor, maxEntries: number): Batch | null {
    const from = cursor.next - this.#first
    const entries = this.#entries.slice(from, maxEntries)
    const last = entries.at(-1)
    if (last === undefined) return this.#lateEnd(cursor)
    const following = this.#entries.at(from + entries.length)
    const isWhole =
      following === undefined ? this.#isCommitted(last.position) : following.position.lsn !== last.position.lsn
    return {
      entries,
      end: isWhole ? { lsn: last.position.lsn, index: END_OF_TRANSACTION } : last.position,
      committedAtMs: last.committedAtMs,
      xids: [...new Set(entries.map((entry) => entry.xid))],
    }
  }

  /** The commit of a transaction whose last entries were handed out before it was known that they are the last. */
  #lateEnd({ done }: StageCursor): Batch | null {
    const commit = this.#lastCommit
    if (commit === null || done.index === END_OF_TRANSACTION || comparePositions(done, START) === 0) return null
    if (commit.lsn < done.lsn) return null
    const end = { lsn: commit.lsn, index: END_OF_TRANSACTION }
    return { entries: [], end, committedAtMs: commit.committedAtMs, xids: [] }
  }

  #isCommitted(position: Position): boolean {
    return this.#lastCommit !== null && this.#lastCommit.lsn >= position.lsn
  }

  #advance(cursor: StageCursor): void {
    let place = cursor.next - this.#first
    for (;;) {
      const entry = this.#entries.at(place)
      if (entry === undefined || comparePositions(entry.position, cursor.done) > 0) break
      place += 1
    }
    cursor.next = this.#first + place
  }

  #release(): void {
    let acknowledged = this.#end
    for (const cursor of this.#cursors.values()) acknowledged = Math.min(acknowledged, cursor.next)
    const firstLeft = this.#entries.at(acknowledged - this.#first)
    let commit = this.#commits.at(0)
    while (commit !== undefined && (firstLeft === undefined || commit.lsn < firstLeft.position.lsn)) {
      this.#confirmable = commit.endLsn
      this.#commits.drop(1)
      commit = this.#commits.at(0)
    }
    let held = this.#held.at(0)
    while (held !== undefined && held.until <= acknowledged) {
      this.#bytes -= held.bytes
      this.#held.drop(1)
      this.#entries.drop(held.until - this.#first)
      this.#first = held.until
      held = this.#held.at(0)
    }
  }
}
