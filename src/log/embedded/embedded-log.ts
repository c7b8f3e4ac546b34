/**
 * The log inside the process: entries held in memory until every stage has acknowledged them.
 *
 * Invariants: entries are kept once, in position order; nothing is dropped before all stages acknowledged it; `append`
 * waits while more than `maxBytes` are held. A crash loses the whole log, which is right: the slot is confirmed only up
 * to `confirmableLsn`, so capture reads the rest again.
 */
import type { Batch, Chunk, Entry, Log } from '../log.ts'
import { comparePositions, END_OF_TRANSACTION, type Position } from '../position.ts'

export interface EmbeddedLogOptions {
  /** Every stage that must acknowledge, and the position it already stands at. */
  readonly stages: ReadonlyMap<string, Position>
  readonly maxBytes?: number
}

interface StageCursor {
  /** Entries at or before this were done in an earlier life. */
  readonly start: Position
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
  #entries: Entry[] = []
  /** Sequence number of `#entries[0]`. */
  #first = 0
  #held: Held[] = []
  #bytes = 0
  #commits: NonNullable<Chunk['commit']>[] = []
  #confirmable: bigint | null = null
  #waitingAppends = 0
  #changed = Promise.withResolvers<void>()

  constructor({ stages, maxBytes = 64 * 1024 * 1024 }: EmbeddedLogOptions) {
    this.#maxBytes = maxBytes
    this.#cursors = new Map([...stages].map(([stage, start]) => [stage, { start, next: 0 }]))
  }

  async append(chunk: Chunk, signal: AbortSignal): Promise<void> {
    this.#waitingAppends += 1
    try {
      // One chunk larger than the bound still goes in when the log is empty: refusing it would stop for ever.
      while (this.#bytes > 0 && this.#bytes + chunk.bytes > this.#maxBytes) await this.#nextChange(signal)
      signal.throwIfAborted()
    } finally {
      this.#waitingAppends -= 1
    }
    for (const entry of chunk.entries) this.#entries.push(entry)
    const end = this.#first + this.#entries.length
    if (chunk.entries.length > 0) {
      this.#held.push({ until: end, bytes: chunk.bytes })
      this.#bytes += chunk.bytes
    }
    if (chunk.commit !== null) this.#commits.push(chunk.commit)
    for (const cursor of this.#cursors.values()) this.#advance(cursor, cursor.start)
    this.#release()
    this.#announce()
  }

  async next(
    stage: string,
    options: { maxEntries: number; waitMs: number; signal: AbortSignal },
  ): Promise<Batch | null> {
    const cursor = this.#cursor(stage)
    const deadline = performance.now() + options.waitMs
    while (cursor.next >= this.#first + this.#entries.length) {
      const leftMs = deadline - performance.now()
      if (leftMs <= 0) return null
      await this.#nextChange(options.signal, leftMs)
    }
    const from = cursor.next - this.#first
    const entries = this.#entries.slice(from, from + options.maxEntries)
    const last = entries[entries.length - 1]
    if (last === undefined) return null
    const following = this.#entries[from + entries.length]
    const isWhole = following === undefined ? this.#isCommitted(last) : following.position.lsn !== last.position.lsn
    return {
      entries,
      end: isWhole ? { lsn: last.position.lsn, index: END_OF_TRANSACTION } : last.position,
      committedAtMs: last.committedAtMs,
      xids: [...new Set(entries.map((entry) => entry.xid))],
    }
  }

  acknowledge(stage: string, position: Position): void {
    this.#advance(this.#cursor(stage), position)
    this.#release()
    this.#announce()
  }

  confirmableLsn(): bigint | null {
    return this.#confirmable
  }

  isIdle(): boolean {
    return this.#entries.length === 0 && this.#waitingAppends === 0
  }

  backlog(stage: string): number {
    return this.#first + this.#entries.length - this.#cursor(stage).next
  }

  pendingSinceMs(stage: string): number | null {
    return this.#entries[this.#cursor(stage).next - this.#first]?.committedAtMs ?? null
  }

  #cursor(stage: string): StageCursor {
    const cursor = this.#cursors.get(stage)
    if (cursor === undefined) throw new TypeError(`Stage '${stage}' is not registered with the log.`)
    return cursor
  }

  #isCommitted(entry: Entry): boolean {
    const lastCommit = this.#commits.at(-1)
    return lastCommit !== undefined && lastCommit.lsn >= entry.position.lsn
  }

  #advance(cursor: StageCursor, position: Position): void {
    let index = cursor.next - this.#first
    for (;;) {
      const entry = this.#entries[index]
      if (entry === undefined || comparePositions(entry.position, position) > 0) break
      index += 1
    }
    cursor.next = this.#first + index
  }

  #release(): void {
    const acknowledged = Math.min(...[...this.#cursors.values()].map((cursor) => cursor.next))
    const firstLeft = this.#entries[acknowledged - this.#first]
    let commit = this.#commits[0]
    while (commit !== undefined && (firstLeft === undefined || commit.lsn < firstLeft.position.lsn)) {
      this.#confirmable = commit.endLsn
      this.#commits.shift()
      commit = this.#commits[0]
    }
    let held = this.#held[0]
    while (held !== undefined && held.until <= acknowledged) {
      this.#bytes -= held.bytes
      this.#held.shift()
      this.#entries.splice(0, held.until - this.#first)
      this.#first = held.until
      held = this.#held[0]
    }
  }

  #announce(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers<void>()
  }

  /** Resolves at the next append or acknowledgement, or after `withinMs`; rejects when the signal aborts. */
  #nextChange(signal: AbortSignal, withinMs?: number): Promise<void> {
    signal.throwIfAborted()
    const changed = this.#changed.promise
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void) => () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        finish()
      }
      const done = settle(resolve)
      const onAbort = settle(() => reject(signal.reason))
      const timer = withinMs === undefined ? undefined : setTimeout(done, withinMs)
      signal.addEventListener('abort', onAbort, { once: true })
      changed.then(done, done)
    })
  }
}
