/**
 * The contract of the log: what carries changes from capture to the stages.
 *
 * Invariants. Entries reach every stage in position order, at least once. `append` pushes back when the log is full.
 * A position is confirmable only when every stage has acknowledged it. The log is a wake-up, never the truth: after a
 * crash the embedded log is empty and capture fills it again from the replication slot.
 */
import type { Position } from './position.ts'

/** Column name to PostgreSQL text form; a missing name means the value is not known (unchanged TOAST, not in the identity, read by nobody). */
export type Row = Readonly<Record<string, string | null>>

export interface Change {
  readonly kind: 'change'
  readonly position: Position
  /** 32-bit transaction id, as pgoutput sends it. */
  readonly xid: number
  /** Commit time in milliseconds since 1970 (fraction = microseconds). */
  readonly committedAtMs: number
  /** `schema.name` */
  readonly table: string
  readonly op: 'insert' | 'update' | 'delete' | 'truncate'
  readonly before: Row | null
  readonly after: Row | null
  /** Columns whose value differs, for updates; null: not known, so treat every column as changed. */
  readonly changed: readonly string[] | null
}

/** A transactional logical message: proves that everything before it has been handled once it is handled. */
export interface Barrier {
  readonly kind: 'barrier'
  readonly position: Position
  readonly xid: number
  readonly committedAtMs: number
  readonly prefix: string
  readonly content: string
}

export type Entry = Change | Barrier

/** Prefix of the logical messages that ask every stage to persist its position. */
export const BARRIER_PREFIX = 'rescore.barrier'

/** A piece of one transaction, or several whole small ones. */
export interface Chunk {
  readonly entries: readonly Entry[]
  /** Position after the last entry: (lsn, END_OF_TRANSACTION) when the chunk ends with a commit, else the last entry's. */
  readonly end: Position
  /** The last commit in the chunk; `endLsn`, the exact end of its record, is the only LSN that may be confirmed. */
  readonly commit: { readonly lsn: bigint; readonly endLsn: bigint } | null
  /** Commit time of the last entry or commit, milliseconds since 1970. */
  readonly committedAtMs: number
  /** Estimated memory of the entries, bytes: what push-back counts. */
  readonly bytes: number
}

/** A log in one piece is one source; of a log in partitions each is one, with a position of its own. */
export interface Source {
  readonly topic: string
  readonly partition: number
}

/** The embedded log, and a stage as a whole. */
export const WHOLE: Source = { topic: '', partition: 0 }

/** Chunks put together for one stage. */
export interface Batch {
  /** Missing: WHOLE. */
  readonly source?: Source
  /** Empty when the batch only says that the transaction before ended: its last entries came before its commit. */
  readonly entries: readonly Entry[]
  /** What `acknowledge` is called with: (lsn, END_OF_TRANSACTION) after a whole transaction, else the last entry's. */
  readonly end: Position
  readonly committedAtMs: number
  /** Distinct transaction ids among the entries. */
  readonly xids: readonly number[]
}

export interface Log {
  /** Adds a chunk; waits while the log holds more than its bound. Rejects when the signal aborts. */
  append(chunk: Chunk, signal: AbortSignal): Promise<void>
  /** The next batch for `stage`, starting after what it acknowledged; waits until there is one, or null after `waitMs`. */
  next(stage: string, options: { maxEntries: number; waitMs: number; signal: AbortSignal }): Promise<Batch | null>
  /** `stage` is done with everything up to `position`, and its effects are committed. */
  acknowledge(stage: string, position: Position): void
  /** End of the last commit that every stage has acknowledged; null before the first. */
  confirmableLsn(): bigint | null
  /** True when nothing is waiting for any stage: only then may a keep-alive move the slot. */
  isIdle(): boolean
  /** Entries not yet acknowledged by `stage`. */
  backlog(stage: string): number
  /** Commit time of the oldest entry `stage` has not acknowledged, milliseconds since 1970; null when there is none. */
  pendingSinceMs(stage: string): number | null
}
