/**
 * The contract of a stage: a consumer of changes whose effects and position are committed in one transaction.
 *
 * `plan` is pure and says what a batch means for the stage; null means nothing at all, then no transaction is opened.
 * `apply` runs inside a REPEATABLE READ transaction in which every transaction of the batch is visible, and writes with
 * `snapshotLsn` as guard. Where processes share the stage, the transaction is READ COMMITTED instead, and `apply` holds
 * each key before it reads what it recomputes of it (hold.ts). The stage runner (stage-runner.ts) owns transactions, visibility, the position's
 * compare-and-set, repeats and acknowledgement; a stage owns none of these.
 */
import type { Client, Pool } from '../db/pool.ts'
import type { Batch } from './log.ts'

export interface ApplyContext {
  readonly client: Client
  /** Read before the snapshot was taken: the version of everything written from this snapshot. */
  readonly snapshotLsn: bigint
  /** The time it is, milliseconds since 1970, whole; read with `snapshotLsn`, and never falling for a stage that is timed. */
  readonly nowMs: number
  readonly signal: AbortSignal
  /** Other processes may have the same keys in hand. */
  readonly isShared?: boolean
}

export interface Stage<Work> {
  readonly name: string
  /** The stage whose reflected position this one follows; null: the source itself. */
  readonly upstream: string | null
  /** `set local` statements for every transaction it works in, each ended by a semicolon. */
  readonly settings?: string
  /** It reads `nowMs`. */
  readonly isTimed?: boolean
  /** Brings tables and definitions in line with the code, before any change is read. Idempotent. */
  deploy(pool: Pool): Promise<void>
  /**
   * Where processes share the stage: asked first in every transaction that moves a position, also when the changes mean
   * nothing to the stage, since to other definitions they may. @throws when the definitions of this process are not the
   * deployed ones
   */
  admit?(context: ApplyContext): Promise<void>
  plan(batch: Batch): Work | null
  apply(work: Work, context: ApplyContext): Promise<void>
  /**
   * Whether applying `work` followed paths through rows of the snapshot, which may be newer than the batch: its end is
   * then vouched for only when everything the snapshot held has been handled.
   */
  looksBeyond?(work: Work): boolean
  /** After the commit of `apply`: report what happened (events), never write. */
  committed?(work: Work): void
  /**
   * One bounded piece of catching up on stale rows (changed definitions, first load), in a transaction of its own.
   * Returns whether stale rows are left; the runner calls it only while no change waits, and holds the reflected
   * position still until it returns false.
   */
  sweep(context: ApplyContext): Promise<boolean>
  /** Asked after each `apply`: has it made rows stale (a truncated table)? Then sweeping starts again. */
  sweepNeeded?(): boolean
}

/**
 * One old → new of a source column, kept with what it caused. Of op 'backfill': no change but a job, whose number is
 * `key`; `to` says why it ran.
 */
export interface ChangeCause {
  readonly table: string
  readonly key: string
  readonly op: 'insert' | 'update' | 'delete' | 'truncate' | 'backfill'
  readonly column: string | null
  readonly from: string | null
  readonly to: string | null
  /** Commit LSN in text form, `16/B374D848`. */
  readonly lsn: string
  readonly committedAtMs: number
}

/** A feature's time had come. */
export interface TimeCause {
  readonly op: 'time'
  readonly feature: string
  /** The instant, milliseconds since 1970. */
  readonly atMs: number
}

export type Cause = ChangeCause | TimeCause

export interface FeatureMove {
  readonly feature: string
  readonly from: number | boolean | string | null
  readonly to: number | boolean | string | null
}

/** What the running service tells of itself, for the terminal and the metrics. */
export type StageEvent =
  | {
      readonly type: 'recomputed'
      readonly entity: string
      readonly key: string
      readonly causes: readonly Cause[]
      readonly moves: readonly FeatureMove[]
      readonly computed: number
    }
  | {
      readonly type: 'scored'
      readonly model: string
      readonly version: string
      readonly entity: string
      readonly key: string
      readonly from: { readonly label: string; readonly probability: number } | null
      readonly to: { readonly label: string; readonly probability: number }
      /** Commit time of the source change behind it; null for a first load. */
      readonly sourceAtMs: number | null
    }
  | { readonly type: 'batch'; readonly stage: string; readonly entries: number; readonly ms: number }
  /** Timers have fired; lateMs: how long after its instant the oldest was taken. */
  | { readonly type: 'fired'; readonly entity: string; readonly timers: number; readonly lateMs: number }
  /** After each piece of catching up on stale rows. */
  | { readonly type: 'sweep'; readonly stage: string; readonly isMoreLeft: boolean; readonly ms: number }
  | { readonly type: 'failed'; readonly stage: string; readonly code: string; readonly message: string }

export type Report = (event: StageEvent) => void
